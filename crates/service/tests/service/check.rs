//! `etatuki-service check`: what a start would meet.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Command, Stdio},
};

use etatuki_service::{Clock, Config, Finding, TlsFiles, check};
use etatuki_trust::{RevocationList, SignedRevocations, UnixTime};
use rcgen::CertificateParams;
use tempfile::TempDir;

use crate::{
    harness::{TODAY, vendor},
    program::PROGRAM,
};

/// A configuration that is at fault nowhere, and the files that it names.
struct Good {
    folder: TempDir,
    config: Config,
}

impl Good {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = Config::new(free_address(), vec![vendor().public()]);
        config.clock = Clock::manual(TODAY);
        config.public_url = Some("https://tuki.example".into());
        config.revocations = vec![folder.path().join("revocations")];
        config.key_ring = Some(folder.path().join("keys"));
        config.tls = Some(TlsFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        });
        let good = Self { folder, config };
        good.write_list(TODAY.saturating_add(1_000_000));
        good.write_certificate("*.example", (TODAY.0 - 1, TODAY.0 + 90 * 86_400));
        good
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_list(&self, until: UnixTime) {
        let list = RevocationList {
            number: 1,
            until,
            serials: [].into(),
        };
        let signed = SignedRevocations::sign(&vendor(), list).unwrap();
        fs::write(self.path("revocations"), signed.to_text()).unwrap();
    }

    fn write_certificate(&self, name: &str, (begins, ends): (u64, u64)) {
        let at = |seconds: u64| {
            let days = i32::try_from(seconds / 86_400).unwrap();
            rcgen::date_time_ymd(1970, 1, 1)
                + std::time::Duration::from_secs(86_400) * days.unsigned_abs()
        };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(begins), at(ends));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
    }

    /// Checks that this part alone is at fault, with these words.
    #[track_caller]
    fn expect_fault(&self, part: &str, words: &str) {
        self.expect_fault_with(part, words, None);
    }

    #[track_caller]
    fn expect_fault_with(&self, part: &str, words: &str, open_files: Option<u64>) {
        let findings = check(&self.config, open_files);
        for Finding {
            part: other,
            result,
        } in findings
        {
            assert_eq!(result.is_err(), other == part, "{other}: {result:?}");
            if let Err(text) = result {
                assert!(text.contains(words), "{text}");
            }
        }
    }
}

/// Returns an address of loopback with a port that was free a moment ago: nothing is bound to it for
/// longer than the look takes.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_good_configuration_is_at_fault_nowhere() {
    let good = Good::new();
    good.expect_fault("nothing", "");
    assert!(!good.path("keys").exists(), "a look makes nothing");
}

#[test]
fn every_fault_is_named() {
    let mut good = Good::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = std::mem::replace(&mut good.config.listen, taken.local_addr().unwrap());
    good.expect_fault("TCP port", "can't listen on 127.0.0.1");
    good.config.listen = listen;

    good.config.relays = vec!["https://elsewhere.test".into()];
    good.expect_fault("public URL", "can't be a relay");
    good.config.relays.clear();

    good.write_list(TODAY);
    good.expect_fault("vendor keys", "missing or outdated");
    good.write_list(TODAY.saturating_add(1));

    good.config.key_ring = Some(good.path("none/keys"));
    good.expect_fault("key ring", "there is no folder");
    fs::write(good.path("keys"), "x").unwrap();
    good.config.key_ring = Some(good.path("keys"));
    good.expect_fault("key ring", "can't use the key ring");
    fs::remove_file(good.path("keys")).unwrap();

    good.expect_fault_with("open files", "carries 960 connections", Some(1024));

    let day = 86_400;
    let check_certificate = |good: &Good, name: &str, validity, words: &str| {
        good.write_certificate(name, validity);
        good.expect_fault("certificate", words);
    };
    let now = TODAY.0;
    check_certificate(
        &good,
        "tuki.example",
        (now - 9 * day, now - day),
        "has expired",
    );
    check_certificate(
        &good,
        "tuki.example",
        (now + 2 * day, now + 9 * day),
        "isn't valid yet",
    );
    check_certificate(
        &good,
        "tuki.example",
        (now - day, now + 5 * day),
        "renew it",
    );
    let good_time = (now - day, now + 50 * day);
    check_certificate(&good, "a.tuki.example", good_time, "isn't for tuki.example");
    check_certificate(&good, "*.tuki.example", good_time, "isn't for tuki.example");
    fs::write(good.path("key.pem"), "x").unwrap();
    good.expect_fault("certificate", "can't use the certificate");
}

#[test]
fn the_program_says_it_a_line_each_and_by_its_exit_code() {
    let good = Good::new();
    // By the machine's own clock.
    good.write_list(UnixTime(4_102_444_800));
    let run = |revocations: bool| {
        let mut program = Command::new(PROGRAM);
        program.args(["check", "--listen", &good.config.listen.to_string()]);
        program.args(["--vendor-key", &vendor().public().to_string()]);
        if revocations {
            program.arg("--revocations").arg(good.path("revocations"));
        }
        let output = program.stdin(Stdio::null()).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), stdout)
    };
    let (code, said) = run(true);
    assert!(
        said.starts_with("ok     public URL   clients find it at http://127.0.0.1:"),
        "{said}"
    );
    // The machine's own limit of open files is what it is.
    let faults: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("FAULT"))
        .collect();
    let expected = i32::from(faults.iter().any(|line| line.contains("open files")));
    assert_eq!(
        (code, faults.len()),
        (Some(expected), expected.unsigned_abs() as usize),
        "{said}"
    );
    let (code, said) = run(false);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("FAULT  vendor keys  launchers let in no agent of etv1-"),
        "{said}"
    );
}
