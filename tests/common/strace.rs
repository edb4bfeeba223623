//! Programs under strace: a record of their system calls, for proofs about their order, and a kill before
//! a chosen one.

use std::fs;
use std::ops::Range;
use std::process::Command;

use tempfile::NamedTempFile;

use super::Lacking;

/// How a program is to be traced. [`prefix`](Self::prefix) goes before its command line.
pub(crate) struct Strace {
    calls: String,
    inject: Option<(String, String, usize)>,
    follow: bool,
    file: NamedTempFile,
}

/// One system call of a traced program, in the order in which the calls ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The thread that made it.
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// As strace writes them: `"a text"`, `5</path/of/the/descriptor>`, `O_RDONLY|O_CLOEXEC`.
    pub(crate) args: Vec<String>,
    /// `0`, `-1 ENOENT (No such file or directory)`, or `?` for one that never ended.
    pub(crate) result: String,
    /// The line of the record at which it began: another thread's calls may have ended between.
    pub(crate) began: usize,
    /// The line at which it ended.
    pub(crate) ended: usize,
}

impl Strace {
    /// Records these calls (strace's `-e trace=`: names, or sets as `%file`), of all threads and children.
    pub(crate) fn of(calls: &str) -> Self {
        Self { calls: calls.to_owned(), inject: None, follow: true, file: NamedTempFile::new().unwrap() }
    }

    /// Records, and kills at, calls of the first thread only.
    pub(crate) fn of_the_main_thread(self) -> Self {
        Self { follow: false, ..self }
    }

    /// Kills the process with SIGKILL when a thread of it enters its `n`th of the calls, counted from 1,
    /// before the kernel carries it out. strace counts each thread by itself.
    pub(crate) fn killing_at(self, n: usize) -> Self {
        let calls = self.calls.clone();
        self.killing_at_call(&calls, n)
    }

    /// The same, at its `n`th call of that name.
    pub(crate) fn killing_at_call(self, name: &str, n: usize) -> Self {
        self.injecting("signal=KILL", name, n)
    }

    /// Has its `n`th call of that name, or of one of those names, fail with this error, without being carried out.
    pub(crate) fn failing_at_call(self, error: &str, name: &str, n: usize) -> Self {
        self.injecting(&format!("error={error}"), name, n)
    }

    fn injecting(self, what: &str, name: &str, n: usize) -> Self {
        Self { inject: Some((name.to_owned(), what.to_owned(), n)), ..self }
    }

    /// Whether programs can be traced here, and why not.
    pub(crate) fn lacking() -> Option<Lacking> {
        match Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output() {
            Ok(output) if output.status.success() => None,
            Ok(_) => Some(Lacking::Ptrace),
            Err(_) if !rustix::process::geteuid().is_root() => Some(Lacking::Root),
            Err(error) => panic!("strace: {error} (`make tools` installs it)"),
        }
    }

    /// The words to put before a command.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let file = self.file.path().display().to_string();
        let mut words = ["strace", "-qq", "-y", "-s", "4096", "-o", &file, "-e"].map(str::to_owned).to_vec();
        words.push(format!("trace={}", self.calls));
        words.extend(self.follow.then(|| "-f".to_owned()));
        if let Some((calls, what, n)) = &self.inject {
            words.extend(["-e".to_owned(), format!("inject={calls}:{what}:when={n}")]);
        }
        words
    }

    /// What has been recorded so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let record = fs::read(self.file.path()).unwrap();
        let record = String::from_utf8_lossy(&record);
        if self.follow {
            return parse(&record);
        }
        // Of a single thread strace leaves the id out.
        parse(&record.lines().map(|line| format!("0 {line}")).collect::<Vec<_>>().join("\n"))
    }
}

impl Call {
    /// The path an argument names, as text or through a descriptor.
    pub(crate) fn path(&self, index: usize) -> Option<&str> {
        let argument = self.args.get(index)?;
        let text = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        text.or_else(|| argument.split_once('<')?.1.strip_suffix('>'))
    }

    /// Whether it did what it was asked to.
    pub(crate) fn succeeded(&self) -> bool {
        !self.result.starts_with(['-', '?'])
    }
}

/// Reads what `strace -f -o` writes; calls that another thread interrupted are joined again.
pub(crate) fn parse(record: &str) -> Vec<Call> {
    let mut unfinished: Vec<(u32, usize, String)> = Vec::new();
    let mut calls = Vec::new();
    for (number, line) in record.lines().enumerate() {
        let Some((pid, text)) = line.split_once(' ') else { continue };
        let (Ok(pid), text) = (pid.parse(), text.trim_start()) else { continue };
        if let Some(start) = text.strip_suffix(" <unfinished ...>") {
            unfinished.push((pid, number, start.to_owned()));
        } else if let Some((_, rest)) =
            text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let Some(at) = unfinished.iter().position(|(of, ..)| *of == pid) else { continue };
            let (_, began, start) = unfinished.remove(at);
            calls.extend(call(pid, began..number, &format!("{start}{rest}")));
        } else {
            calls.extend(call(pid, number..number, text));
        }
    }
    let end = record.lines().count();
    let killed = unfinished
        .into_iter()
        .filter_map(|(pid, began, start)| call(pid, began..end, &format!("{start}) = ?")));
    calls.extend(killed);
    calls
}

/// `name(arguments) = result`; nothing for signals and exits.
fn call(pid: u32, lines: Range<usize>, text: &str) -> Option<Call> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, args) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| Call {
        pid,
        name: name.to_owned(),
        args: split(args),
        result: result.trim().to_owned(),
        began: lines.start,
        ended: lines.end,
    })
}

/// Splits at the commas that are in no text, structure or path.
fn split(args: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for c in args.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    let last = part.trim();
    parts.extend((!last.is_empty()).then(|| last.to_owned()));
    parts
}
