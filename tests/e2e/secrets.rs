//! Secrets stay on the customer's machine: not in the service's memory, not in any log.

use std::io::BufRead as _;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use etatuki_deployment::process::Process;

use crate::agent::Agent;
use crate::customer::Customer;
use crate::outcomes::processes;
use crate::testbed::{Testbed, wait_until};

/// Returns whether `digits` occur without another digit beside them.
fn contains_digits(haystack: &[u8], digits: &str) -> bool {
    let digits = digits.as_bytes();
    let is_digit = |at: Option<&u8>| at.is_some_and(u8::is_ascii_digit);
    let mut from = 0;
    while let Some(found) = haystack[from..].iter().position(|byte| *byte == digits[0]) {
        let start = from + found;
        let end = start + digits.len();
        let before = start.checked_sub(1).and_then(|at| haystack.get(at));
        if haystack[start..].starts_with(digits)
            && !is_digit(before)
            && !is_digit(haystack.get(end))
        {
            return true;
        }
        from = start + 1;
    }
    false
}

/// Reads the writable memory of a process, as far as it can be read.
fn read_memory(pid: u32) -> Vec<u8> {
    let maps = std::fs::File::open(format!("/proc/{pid}/maps")).unwrap();
    let mut file = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in BufReader::new(maps).lines().map_while(Result::ok) {
        let (range, rest) = line.split_once(' ').unwrap();
        // Memory that can't be written has only what was in the program's file.
        if !rest.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let at = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = (at(start), at(end));
        let mut part = vec![0; usize::try_from(end - start).unwrap()];
        if file.seek(SeekFrom::Start(start)).is_ok() && file.read_exact(&mut part).is_ok() {
            all.append(&mut part);
            all.push(0);
        }
    }
    all
}

/// Reads every file below a folder, one after the other.
fn read_files(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            all.append(&mut read_files(&entry.path()));
        } else {
            all.append(&mut std::fs::read(entry.path()).unwrap_or_default());
        }
        all.push(0);
    }
    all
}

/// Returns the nameplate without spaces or check digit, and the ways in which the secret part could
/// be written.
fn code_parts(code: &[String]) -> (String, Vec<String>) {
    let plain: Vec<String> = code.iter().map(|field| field.replace(' ', "")).collect();
    match &plain[..] {
        [code_of_12] => {
            let last = code[0].split(' ').collect::<Vec<_>>();
            let secret = vec![
                code_of_12.clone(),
                code[0].clone(),
                code_of_12[6..].to_owned(),
                format!("{} {}", last[2], last[3]),
            ];
            (code_of_12[..6].to_owned(), secret)
        }
        [id, password] => {
            let secret = vec![password.clone(), code[1].clone()];
            (id[..8].to_owned(), secret)
        }
        _ => panic!("a code has one field or two"),
    }
}

/// Plays a session through with all logs at their most verbose, and checks that no secret leaks.
fn check_secrets_kept(backend: &str) {
    let testbed = Testbed::new();
    let folder = testbed.deployment.folder().to_owned();
    let log = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).unwrap());
    let mut command = testbed.deployment.program("etatuki-service");
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--verbose"])
        .args(["--vendor-key", testbed.deployment.vendor_key()])
        .stderr(log("talkative-service.log"));
    let (service, ready, _) = Process::start_until_ready(&mut command).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let url = ready["listening"].as_str().unwrap();
    let registry = testbed.deployment.registry_text();
    let registry = registry.replace(testbed.deployment.service_url(), url);
    std::fs::write(testbed.deployment.registry(), registry).unwrap();

    let mut command = testbed.deployment.launcher(testbed.display.name());
    command
        .args(["-v", "session", backend])
        .env("RUST_LOG", "trace")
        .stderr(log("launcher.log"));
    let mut customer = Customer::spawn(command);
    let code = customer.code();
    customer.expect_state("waiting");
    let mut command = testbed.deployment.program("etatuki-console");
    command
        .args(["join", "--vnc", "127.0.0.1:0", "--service", url])
        .arg("--agent")
        .arg(testbed.deployment.agent_file())
        .env("RUST_LOG", "trace")
        .stderr(log("console.log"));
    let mut agent = Agent::spawn(command, &code);
    customer.allow("view");
    agent.expect_type("picture");

    let (nameplate, secrets) = code_parts(&code);
    let memory = read_memory(service.pid().as_raw_nonzero().get().unsigned_abs());
    assert!(
        contains_digits(&memory, &nameplate),
        "the grep doesn't find what is there"
    );
    agent.send("end");
    customer.expect_type("closed");
    assert_eq!(customer.wait_exit().code(), Some(0));
    assert_eq!(agent.wait_exit().code(), Some(0));
    let logs = read_files(&folder);
    assert!(logs.len() > 10_000, "the logs weren't talkative");
    for secret in &secrets {
        assert!(
            !contains_digits(&memory, secret),
            "the service holds a secret"
        );
        assert!(!contains_digits(&logs, secret), "a secret stands in a file");
    }
    drop(service);
}

#[test]
fn the_service_never_holds_a_password() {
    check_secrets_kept("ecom");
}

#[test]
fn the_service_never_holds_a_session_codes_secret() {
    check_secrets_kept("remoteus-2008");
}

/// Capabilities by which root looks into everybody; the last two since Linux 6.13.
const LOOKING: &str = "--bounding-set=-sys_ptrace,-perfmon,-sys_admin";

/// Returns the command for a program. Root's programs run without the rights to look into everybody,
/// as those of any user.
fn as_a_user(program: &Path, arguments: &[&str]) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        let mut command = Command::new(program);
        command.args(arguments);
        return command;
    }
    let mut command = Command::new("setpriv");
    command.arg(LOOKING).arg(program).args(arguments);
    command
}

/// Returns whether another program of the same user can read a process's environment or memory map.
fn others_can_look_into(pid: u32) -> bool {
    let [environ, maps] = ["environ", "maps"].map(|file| format!("/proc/{pid}/{file}"));
    let mut command = as_a_user(Path::new("/bin/cat"), &[&environ, &maps]);
    let output = command.stderr(Stdio::null()).output().unwrap();
    !output.stdout.is_empty()
}

/// `O_NONBLOCK`.
const NONBLOCK: i32 = 0o4000;

#[test]
fn no_program_of_the_user_looks_into_ours() {
    let programs = Path::new(env!("CARGO_BIN_EXE_etatuki")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Whoever reads it waits.
    let never = folder.path().join("never");
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&never)
        .status();
    assert!(made.unwrap().success());
    let never = never.to_str().unwrap();
    let is_open = |program: &str, arguments: &[&str]| {
        let mut command = as_a_user(&programs.join(program), arguments);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        // Fails until somebody reads; from then on the reader waits for what is written.
        let writer = wait_until("it reads its key", || {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).custom_flags(NONBLOCK).open(never).ok()
        });
        let open = others_can_look_into(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        drop(writer);
        open
    };
    assert!(
        is_open("/bin/cat", &[never]),
        "what is looked for isn't found"
    );
    let service = [
        "--service",
        "https://127.0.0.1:1",
        "--no-open",
        "--agent",
        never,
    ];
    assert!(!is_open("etatuki-console", &service), "the console");
    assert!(
        !is_open("etatuki-vendor", &["key", "show", "--key", never]),
        "the vendor tool"
    );
    assert!(
        !is_open("etatuki", &["--registry", never, "list"]),
        "the launcher"
    );
}

/// An accounting program may leave its data files open when it starts the launcher.
#[test]
fn what_the_accounting_program_has_open_goes_no_further() {
    let testbed = Testbed::new();
    let folder = testbed.deployment.folder();
    let ledger = folder.join("ledger.txt");
    let launcher = testbed.deployment.launcher(testbed.display.name());
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 7>>\"$0\"; exec \"$@\""])
        .arg(&ledger);
    command
        .arg(launcher.get_program())
        .args(launcher.get_args());
    command.envs(
        launcher
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.args(["session", "remoteus-2008"]);
    let mut customer = Customer::spawn(command);
    let code = customer.code();
    let mut agent = Agent::join(&testbed, &code, &[]);
    customer.allow("view");
    agent.expect_type("picture");
    let launcher = customer.process.pid().as_raw_nonzero().get().unsigned_abs();
    let has_it_open = |pid: u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter();
        let mut open = open.flatten().flatten();
        open.any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == ledger))
    };
    let mut others = processes(&testbed);
    others.remove(&launcher);
    assert!(others.values().any(|name| name == "x11vnc"), "{others:?}");
    for (pid, name) in others {
        assert!(!has_it_open(pid), "{name} has the ledger open");
    }
    agent.send("end");
    customer.expect_type("closed");
}
