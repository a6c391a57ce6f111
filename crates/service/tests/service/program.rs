//! The program: one line on stdout, logs on stderr without a secret, a clean end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{client, opening, text, vendor};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_etatuki-service");

/// A running program, killed when its test ends.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn check_failure(words: &[&str], code: i32, sentence: &str) {
    let output = run(words);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(sentence), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(
        !stderr.contains(&*vendor().to_text()),
        "the private key was repeated"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn it_says_where_it_listens_and_ends_when_told() {
    let public = vendor().public().to_string();
    let child = Command::new(PROGRAM)
        .args([
            "serve",
            "-v",
            "--listen",
            "127.0.0.1:0",
            "--vendor-key",
            &public,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Program(child);
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let url = text(&said["listening"]);

    let opened = client()
        .post(format!("{url}/v1/sessions"))
        .json(&opening("ecom"));
    let session: Value = opened.send().await.unwrap().json().await.unwrap();
    let path = format!("{url}/v1/sessions/{}", text(&session["nameplate"]));
    let closed = client()
        .delete(path)
        .bearer_auth(text(&session["owner"]))
        .send()
        .await
        .unwrap();
    assert_eq!(closed.status(), 204);

    let pid = rustix::process::Pid::from_child(&program.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(program.0.wait().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line on stdout and no more");
    let mut log = String::new();
    program
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    assert!(log.contains(text(&session["nameplate"])), "{log}");
    for secret in [&session["owner"], &session["relay"]["token"]] {
        assert!(!log.contains(text(secret)), "{log}");
    }
}

/// The files of a service that ends TLS, and the running program.
#[cfg(unix)]
struct ReloadableProgram {
    folder: tempfile::TempDir,
    program: Program,
    port: String,
}

#[cfg(unix)]
impl ReloadableProgram {
    fn start() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("vendor.txt"), vendor().public().to_string()).unwrap();
        let list = crate::agents::signed_list(&vendor(), 1, &[99]);
        std::fs::write(path("revocations.txt"), list).unwrap();
        write_certificate(&folder);
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--vendor-key", &path("vendor.txt")])
            .args(["--revocations", &path("revocations.txt")])
            .args([
                "--tls-cert",
                &path("cert.pem"),
                "--tls-key",
                &path("key.pem"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let port = text(&said["listening"]).rsplit(':').next().unwrap().into();
        Self {
            folder,
            program: Program(child),
            port,
        }
    }

    /// Returns a client that trusts the present certificate file and no other.
    fn client(&self) -> reqwest::Client {
        drop(client());
        let pem = std::fs::read(self.folder.path().join("cert.pem")).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
            .timeout(std::time::Duration::from_secs(20))
            .no_proxy()
            .build()
            .unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Sends SIGHUP and waits for what the log says of it.
    async fn hang_up(&self, said: &str) {
        let count = || {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(!log.contains('\u{1b}'), "colours in a file: {log}");
            log.matches(said).count()
        };
        let before = count();
        let pid = rustix::process::Pid::from_child(&self.program.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        for _ in 0..1000 {
            if count() > before {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the log doesn't say: {said}");
    }
}

#[cfg(unix)]
fn write_certificate(folder: &tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_pem();
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_hang_up_reloads_certificate_keys_and_lists_and_loses_no_session() {
    let service = ReloadableProgram::start();
    let first = service.client();
    let opened = first
        .post(service.url("/v1/sessions"))
        .json(&opening("ecom"));
    let session: Value = opened.send().await.unwrap().json().await.unwrap();

    let successor = etatuki_trust::VendorKey::from_seed([9; 32]);
    let file = |name: &str| service.folder.path().join(name);
    let list = crate::agents::signed_list(&successor, 1, &[5]);
    std::fs::write(file("vendor.txt"), successor.public().to_string()).unwrap();
    std::fs::write(file("revocations.txt"), &list).unwrap();
    write_certificate(&service.folder);
    service.hang_up("were reloaded").await;

    let second = service.client();
    let lists = second.get(service.url("/v1/revocations")).send().await;
    assert_eq!(lists.unwrap().text().await.unwrap(), list);
    let path = format!("/v1/sessions/{}/address", text(&session["nameplate"]));
    let known = second
        .put(service.url(&path))
        .bearer_auth(text(&session["owner"]))
        .json(&json!({ "address": { "id": crate::harness::ENDPOINT, "addrs": [] } }));
    assert_eq!(known.send().await.unwrap().status(), 204);
    let connected_before = first.get(service.url("/health")).send().await;
    assert_eq!(connected_before.unwrap().status(), 200);

    // One bad file, and all stays as it was.
    for (name, bad) in [
        ("cert.pem", "rubbish"),
        ("vendor.txt", "rubbish"),
        ("revocations.txt", "rubbish"),
    ] {
        let good = std::fs::read(file(name)).unwrap();
        std::fs::write(file(name), bad).unwrap();
        service.hang_up("nothing was reloaded").await;
        std::fs::write(file(name), good).unwrap();
        let lists = service.client().get(service.url("/v1/revocations"));
        let lists = lists.send().await.unwrap().text().await.unwrap();
        assert_eq!(lists, list, "after a bad {name}");
    }
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    let public = vendor().public().to_string();
    check_failure(&["serve"], 2, "--vendor-key");
    check_failure(
        &["serve", "--vendor-key", "nothing-here"],
        2,
        "takes a public key",
    );
    let private = vendor().to_text();
    check_failure(
        &["serve", "--vendor-key", &private],
        2,
        "must not be on this machine",
    );
    check_failure(
        &["serve", "--vendor-key", &public, "--tls-cert", "x"],
        2,
        "--tls-key",
    );
    check_failure(
        &["serve", "--vendor-key", &public, "--listen", "0.0.0.0:0"],
        2,
        "--public-url",
    );
    check_failure(&["sreve"], 2, "'serve'");
    check_failure(
        &["serve", "--vendor-key", &public, "--listen", "192.0.2.1:1"],
        1,
        "can't listen on",
    );
    check_failure(
        &["serve", "--vendor-key", &public, "--revocations", "none"],
        1,
        "can't read the revocation list",
    );
}

#[test]
fn a_vendors_key_may_come_from_a_file() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("key.txt");
    let path = file.to_str().unwrap();
    // The key was accepted if the next mistake is reported.
    let words = ["serve", "--vendor-key", path, "--listen", "192.0.2.1:1"];
    std::fs::write(&file, format!("# ours\n{}\n", vendor().public())).unwrap();
    check_failure(&words, 1, "can't listen on");
    std::fs::write(&file, &*vendor().to_text()).unwrap();
    check_failure(&words, 2, "must not be on this machine");
    std::fs::write(&file, "rubbish").unwrap();
    check_failure(&words, 2, "holds no vendor's public key");
}
