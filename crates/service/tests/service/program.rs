//! The program: one line on stdout, logs on stderr without a secret, a clean end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{client, text, vendor};

const PROGRAM: &str = env!("CARGO_BIN_EXE_etatuki-service");

/// A running program, killed when its test ends.
struct Program(Child);

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
        .json(&json!({ "form": "ecom" }));
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
