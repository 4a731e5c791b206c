//! Processes that end with the test process, however it ends.
//!
//! A process is started through a shell that first puts a watcher beside it, in a process group of
//! their own. The watcher reads from a pipe whose other end only the test process holds and never
//! writes to: the pipe ends when the test process does, be it by a return, a panic, an abort or a
//! SIGKILL, and the watcher then kills the group. The shell replaces itself by the program, so the
//! pid known here is the program's own and signals reach nobody else.
//!
//! Output goes to files, not to pipes: nobody has to read for the program to go on writing.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

/// The shell's part. It parks the pipe on descriptor 3, because a shell gives background commands
/// /dev/null as their standard input, and keeps it from the program.
const SUPERVISE: &str = r#"exec 3<&0 </dev/null
(cat <&3 >/dev/null 2>&1; kill -KILL 0) >/dev/null 2>&1 &
exec 3<&-
exec "$@""#;

/// Removes a folder once the pipe ends. The processes that write to it are killed at the same
/// moment, so it tries again while one that is just dying still makes files.
const SWEEP: &str = r#"cat >/dev/null
n=0
while [ -e "$1" ] && [ $n -lt 100 ]; do
  rm -rf "$1" 2>/dev/null
  [ -e "$1" ] && sleep 0.1
  n=$((n + 1))
done"#;

/// How a process is to be started; made by [`Process::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    env_clear: bool,
    current_dir: Option<PathBuf>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Builder {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Passes on no environment variable but PATH and those set with [`Builder::env`].
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(dir.into());
        self
    }

    /// Sends standard error to a file of its own instead of the one given for both.
    #[must_use]
    pub fn stderr(mut self, file: impl Into<PathBuf>) -> Self {
        self.stderr = file.into();
        self
    }

    /// Starts the process.
    pub fn start(self) -> io::Result<Process> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISE, "sh"]).arg(&self.program).args(&self.args);
        if self.env_clear {
            command.env_clear();
            command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.current_dir {
            command.current_dir(dir);
        }
        // Appending, so that two writers of one file do not overwrite each other and a restarted
        // process leaves its predecessor's lines in place.
        command.stdout(append(&self.stdout)?).stderr(append(&self.stderr)?);
        command.stdin(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let lifeline = child.stdin.take();
        Ok(Process {
            name: Path::new(&self.program).file_name().unwrap_or(&self.program).to_string_lossy().into_owned(),
            pid: child.id(),
            stdout: self.stdout,
            stderr: self.stderr,
            state: Mutex::new(State { child, status: None, group: true }),
            _lifeline: lifeline,
        })
    }
}

/// A supervised process. Dropping it kills it and what it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    /// The program's process id.
    pub pid: u32,
    stdout: PathBuf,
    stderr: PathBuf,
    state: Mutex<State>,
    /// The end of the pipe whose closing ends the process.
    _lifeline: Option<ChildStdin>,
}

#[derive(Debug)]
struct State {
    child: Child,
    status: Option<ExitStatus>,
    /// Whether the group can still exist: once it is killed, its id may become another's.
    group: bool,
}

impl Process {
    /// Describes a process: its program, and the file that takes its output and errors.
    pub fn builder(program: impl AsRef<OsStr>, log: impl Into<PathBuf>) -> Builder {
        let log = log.into();
        Builder {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            env_clear: false,
            current_dir: None,
            stderr: log.clone(),
            stdout: log,
        }
    }

    /// The program's name, without its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a signal to the program alone. Does nothing once it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut state = self.state();
        if state.poll().is_none() {
            let _ = kill_process(self.raw(), signal);
        }
    }

    /// Kills the program and all it started (SIGKILL), and returns once the program is gone.
    pub fn kill(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.group) {
            let _ = kill_process_group(self.raw(), Signal::KILL);
        }
        if state.status.is_none() {
            state.status = state.child.wait().ok();
        }
    }

    /// The exit status, if the program has ended.
    pub fn status(&self) -> Option<ExitStatus> {
        self.state().poll()
    }

    /// Whether the program is still there (a stopped one is).
    pub fn is_running(&self) -> bool {
        self.status().is_none()
    }

    /// Waits for the program to end by itself or by a signal sent before.
    ///
    /// # Panics
    /// When it has not ended by the deadline.
    pub async fn wait(&self, deadline: Duration) -> ExitStatus {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            assert!(
                Instant::now() < end,
                "{} did not end within {deadline:?}; its log ends:\n{}",
                self.name,
                self.tail()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the program: a signal first, a kill if it is still there after the grace.
    pub async fn stop(&self, signal: Signal, grace: Duration) -> ExitStatus {
        self.signal(signal);
        let end = Instant::now() + grace;
        while self.is_running() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        self.status().expect("a killed process has a status")
    }

    /// What it wrote to standard output so far (and to standard error, when both share a file).
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it wrote to standard error so far (and to standard output, when both share a file).
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Waits for a line of its output or errors that the predicate accepts and returns it. Lines
    /// written before the call count too.
    ///
    /// # Panics
    /// When there is none by the deadline, or the program ends without having written one.
    pub async fn wait_for_line(&self, accept: impl Fn(&str) -> bool, deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        loop {
            // Asked for before reading: what an ended program wrote is all there.
            let ended = self.status();
            let mut text = self.stdout();
            if self.stderr != self.stdout {
                text.push_str(&self.stderr());
            }
            // The last piece may be half a line still being written.
            let whole = if ended.is_some() { text.len() } else { text.rfind('\n').map_or(0, |at| at + 1) };
            if let Some(line) = text[..whole].lines().find(|line| accept(line)) {
                return line.to_owned();
            }
            assert!(
                ended.is_none(),
                "{} ended ({ended:?}) without the line waited for; its log ends:\n{}",
                self.name,
                self.tail()
            );
            assert!(
                Instant::now() < end,
                "{} did not write the line waited for within {deadline:?}; its log ends:\n{}",
                self.name,
                self.tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last lines of its log, for the message of a failing test.
    pub fn tail(&self) -> String {
        let text = if self.stderr == self.stdout { self.stdout() } else { self.stdout() + &self.stderr() };
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raw(&self) -> Pid {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a child has a positive pid")
    }
}

impl State {
    fn poll(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A temporary folder that goes when it is dropped, or else when the test process ends. With
/// `TESTKIT_KEEP` set it stays, for looking at logs.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    sweeper: Child,
    lifeline: Option<ChildStdin>,
}

impl Scratch {
    /// Makes a folder whose name starts with the prefix.
    pub fn new(prefix: &str) -> io::Result<Self> {
        let path = tempfile::Builder::new().prefix(prefix).tempdir()?.keep();
        let script = if std::env::var_os("TESTKIT_KEEP").is_some() {
            eprintln!("testkit: keeping {}", path.display());
            "cat >/dev/null"
        } else {
            SWEEP
        };
        // A group of its own: a Ctrl-C at the terminal must not end the sweeper first.
        let mut sweeper = Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let lifeline = sweeper.stdin.take();
        Ok(Self { path, sweeper, lifeline })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.sweeper.wait();
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
