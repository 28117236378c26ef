//! The processes that the bench starts. Each is stopped when its value is dropped, also after a panic.

#![allow(dead_code, reason = "each bench uses its part")]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::outcome::Outcome;

/// How long the bench waits for a process to be ready, or to end after it was asked to.
const GRACE: Duration = Duration::from_secs(30);

pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let name = Path::new(command.get_program()).display().to_string();
        Ok(Self(command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?))
    }

    /// Reads the first line of its standard output.
    pub(crate) fn first_line(&mut self) -> Outcome<String> {
        let stdout = self.0.stdout.take().ok_or("its output is not piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Reads all of its standard output, and waits until it has ended with success.
    pub(crate) fn output(mut self) -> Outcome<String> {
        let mut output = String::new();
        self.0.stdout.take().ok_or("its output is not piped")?.read_to_string(&mut output)?;
        let status = self.0.wait()?;
        if status.success() { Ok(output) } else { Err(format!("it ended with {status}").into()) }
    }

    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// A figure of Linux about the process, such as `VmRSS` or `VmHWM`, in bytes.
    pub(crate) fn memory(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    pub(crate) fn processor_time(&self) -> Option<Duration> {
        processor_time(&self.0.id().to_string())
    }

    /// How many bytes it has caused to be written to disks, as Linux counts them.
    pub(crate) fn written_bytes(&self) -> Outcome<u64> {
        written_bytes(&self.0.id().to_string())
    }

    fn stop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// The processor time that Linux has counted for the process with this id, or for this one, `self`.
pub(crate) fn processor_time(id: &str) -> Option<Duration> {
    // Linux shows hundredths of a second. The program's name, in parentheses, can contain anything.
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(Duration::from_millis((user + system) * 10))
}

/// How many bytes the process with this id, or this one, `self`, has caused to be written to disks.
pub(crate) fn written_bytes(id: &str) -> Outcome<u64> {
    let counts = std::fs::read_to_string(format!("/proc/{id}/io"))?;
    let line = counts.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("Linux does not count what is written")?.parse()?)
}

pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Sends a GET of `path` every millisecond until the answer is 200. Returns the time from `since` to then.
pub(crate) fn wait_until_ready(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    since: Instant,
) -> Outcome<Duration> {
    while since.elapsed() < GRACE {
        if fetch(address, path).is_ok() {
            return Ok(since.elapsed());
        }
        if let Some(status) = process.ended()? {
            return Err(format!("the server ended while it started, with {status}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("the server was not ready within {} s", GRACE.as_secs()).into())
}

/// Sends a GET on a new connection, and returns the body of the answer, which must be a 200.
pub(crate) fn fetch(address: SocketAddr, path: &str) -> Outcome<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("no answer")?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&answer[..head]).into_owned().into());
    }
    Ok(answer.split_off(head + 4))
}
