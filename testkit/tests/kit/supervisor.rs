//! Nothing outlives the process that started it, however that ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use testkit::{Process, Scratch, Signal, eventually};

use crate::objects::DEADLINE;

/// Set in the copy of this test binary that plays the ending test process: how it ends.
const END: &str = "TESTKIT_TEST_END";
/// The folder in which it tells what it started.
const DIR: &str = "TESTKIT_TEST_DIR";

/// Not a test of its own: what the copies run.
#[tokio::test]
async fn ending() {
    let (Ok(end), Ok(dir)) = (std::env::var(END), std::env::var(DIR)) else {
        return;
    };
    let dir = Path::new(&dir);
    let scratch = Scratch::new("testkit-ending-").unwrap();
    // A program with a child of its own, and one that does not listen to SIGTERM.
    let deaf = r#"trap "" TERM; sleep 600 & echo $! >"$0"; echo up; while :; do sleep 1; done"#;
    let process = Process::builder("/bin/sh", scratch.path().join("log"))
        .args(["-c", deaf])
        .arg(dir.join("grandchild"))
        .start()
        .unwrap();
    process.wait_for_line(|line| line == "up", DEADLINE).await;
    std::fs::write(dir.join("child"), process.pid.to_string()).unwrap();
    std::fs::write(dir.join("scratch"), scratch.path().display().to_string()).unwrap();
    match end.as_str() {
        "return" => {}
        "panic" => panic!("as asked"),
        "abort" => std::process::abort(),
        // Statics are not dropped at the end of a process.
        "static" => std::mem::forget((process, scratch)),
        _ => loop {
            std::fs::write(dir.join("waiting"), "").unwrap();
            std::thread::sleep(Duration::from_secs(1));
        },
    }
}

#[tokio::test]
async fn nothing_is_left_behind() {
    for end in ["return", "panic", "abort", "static", "killed"] {
        let scratch = Scratch::new("testkit-supervisor-").unwrap();
        let dir = scratch.path();
        let mut ending = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervisor::ending"])
            .env(END, end)
            .env(DIR, dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if end == "killed" {
            eventually("it waits", DEADLINE, async || dir.join("waiting").exists()).await;
            ending.kill().unwrap();
        }
        let status = ending.wait().unwrap();
        assert_eq!(status.success(), matches!(end, "return" | "static"), "{end}: {status}");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap().trim().to_owned();
        for name in ["child", "grandchild"] {
            let pid = read(name);
            eventually(&format!("{end}: the {name} is gone"), DEADLINE, async || gone(&pid)).await;
        }
        let left = read("scratch");
        eventually(&format!("{end}: the folder is gone"), DEADLINE, async || !Path::new(&left).exists()).await;
    }
}

#[tokio::test]
async fn a_process_is_signalled_and_its_output_kept() {
    let scratch = Scratch::new("testkit-process-").unwrap();
    let script = r#"trap "echo bye; exit 7" TERM; echo out; echo err >&2; while :; do sleep 0.05; done"#;
    let process = Process::builder("/bin/sh", scratch.path().join("out"))
        .stderr(scratch.path().join("err"))
        .args(["-c", script])
        .start()
        .unwrap();
    process.wait_for_line(|line| line == "err", DEADLINE).await;
    assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("out\n", "err\n"));
    process.signal(Signal::STOP);
    process.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(process.is_running(), "a stopped process has handled a signal");
    process.signal(Signal::CONT);
    assert_eq!(process.wait(DEADLINE).await.code(), Some(7));
    assert_eq!(process.stdout(), "out\nbye\n");
}

/// Whether a process has ended. One that has, but that nobody has asked for its status, counts.
fn gone(pid: &str) -> bool {
    let raw = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let zombie = || {
        let ps = Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
        ps.is_ok_and(|ps| String::from_utf8_lossy(&ps.stdout).trim_start().starts_with('Z'))
    };
    test_kill_process(raw).is_err() || zombie()
}
