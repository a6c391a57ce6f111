//! A plugin by the SDK for tests: it echoes the attached stream, and its options say what it does
//! wrong. It isn't a real backend, since it doesn't speak RFB.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use etatuki_backend_api::{
    Backend, Capabilities, CodeForm, Descriptor, Failure, Host, LogLevel, Permissions, Probe,
    Unusable,
};

struct Echo {
    host: Host,
}

impl Backend for Echo {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "echo",
        name: "Echo",
        vendor: "Etätuki",
        version: "1.2.3",
        code_form: CodeForm::IdAndPassword,
        capabilities: Capabilities::INPUT.with(Capabilities::CLIPBOARD),
    };

    fn new(host: Host) -> Self {
        Echo { host }
    }

    /// Reports usable unless the options are `{"unusable": "why"}`.
    fn probe(&self) -> Result<Probe, Unusable> {
        match self.host.options()["unusable"].as_str() {
            Some(why) => Err(Unusable {
                name: "tool-missing",
                text: why.to_owned(),
            }),
            None => Ok(Probe {
                tool: Some("echo".to_owned()),
                version: Some("1.2.3".to_owned()),
            }),
        }
    }

    /// Fails or panics when the options say so; else reports the code at once.
    fn open(&self, code: &str) -> Result<(), Failure> {
        match self.host.options()["open"].as_str() {
            Some("fail") => return Err(Failure::tool("tool-failed", "told to fail")),
            Some("panic") => panic!("told to panic"),
            _ => {}
        }
        self.host.log(
            LogLevel::Info,
            &format!("open, in {}", self.host.language()),
        );
        self.host.waiting(code);
        Ok(())
    }

    fn close(&self) {
        self.host.log(LogLevel::Info, "close");
    }

    fn attach(&self, mut stream: UnixStream) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return Ok(()),
                Ok(length) if stream.write_all(&buffer[..length]).is_err() => return Ok(()),
                Ok(_) => {}
            }
        }
    }

    fn permissions(&self, permissions: Permissions) {
        let Permissions { view, control } = permissions;
        self.host.log(
            LogLevel::Info,
            &format!("permissions: view {view}, control {control}"),
        );
    }
}

etatuki_backend_api::export_backend!(Echo);
