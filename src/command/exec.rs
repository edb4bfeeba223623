//! `batou exec`: runs a command on an environment's hosts, as the service user.

use tokio::sync::Notify;

use crate::cli::options::LeaveOut;
use crate::context::Context;
use crate::deployment::failure::failed;
use crate::deployment::{Deployment, block_on};
use crate::error::CommandError;
use crate::fleet::{Member, sort};
use crate::remote::RemoteError;
use crate::ui::line::Line;
use crate::ui::line::host::OutputStream;
use crate::ui::{Ui, plural, visible};
use batou_agent::protocol::question;

/// Run a command on an environment's hosts.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The command runs as the service user in the target directory, without a shell. What it prints to standard error, batou prints to its own.

Examples:
  batou exec prod -- df -h .
  batou exec prod --host web01 -- sh -c 'ls state/*'")]
pub struct Args {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only this host [may be repeated]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<(), CommandError> {
    let (policy, hosts) = batou_environments::policy(context.project()?, &args.environment)?;
    let mut deployment = Deployment::new(context, policy, &hosts, &LeaveOut::default())?;
    deployment.only(&args.host)?;
    block_on(context, async {
        let states = async |member: &mut Member| member.state().await;
        deployment.all("cannot be asked; nothing was run", states).await?;
        let width = deployment.fleet.hosts().iter().map(|host| host.len()).max().unwrap_or(0);
        let ui = &context.ui;
        let unread = Notify::new();
        let work = async |member: &mut Member| execute(member, args, ui, width, &unread).await;
        let answers = tokio::select! {
            answers = deployment.fleet.each(work) => answers,
            // Nobody reads what the commands print any more. The agents end them when their connections end.
            () = unread.notified() => {
                deployment.fleet.abandon();
                return Err(CommandError::unread());
            }
        };
        let (statuses, failures) = sort(answers);
        for (host, status) in &statuses {
            ui.json(&Line::Exited { host, status: *status });
        }
        if !failures.is_empty() {
            return Err(failed("did not finish the command", &failures));
        }
        let bad: Vec<_> = statuses.iter().filter(|(_, status)| **status != 0).collect();
        if bad.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = bad.iter().map(|(host, status)| format!("  {host}: status {status}")).collect();
        let count = plural(bad.len(), "host");
        Err(CommandError::failed(format!("the command failed on {count}:\n{}", lines.join("\n"))))
    })
}

async fn execute(
    member: &mut Member,
    args: &Args,
    ui: &Ui,
    width: usize,
    unread: &Notify,
) -> Result<i32, RemoteError> {
    let host = member.route.host.clone();
    let (mut out, mut err) = (Lines::new(ui, &host, width, false), Lines::new(ui, &host, width, true));
    let question = question::exec(args.command.clone());
    let show = |error, bytes: &[u8]| {
        if error { &mut err } else { &mut out }.push(bytes);
        if ui.is_unread() {
            unread.notify_one();
        }
    };
    member.listen(&question, show).await
}

/// Shows output line by line, each line prefixed with its host's name.
struct Lines<'a> {
    ui: &'a Ui,
    host: &'a str,
    width: usize,
    error: bool,
    rest: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// A longer line is shown in parts.
    const LONGEST: usize = 64 << 10;

    fn new(ui: &'a Ui, host: &'a str, width: usize, error: bool) -> Self {
        Lines { ui, host, width, error, rest: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let mut line = &line[..end];
            while line.len() > Self::LONGEST {
                let (part, rest) = line.split_at(cut(line, Self::LONGEST));
                self.show(part);
                line = rest;
            }
            self.show(line);
        }
        while self.rest.len() > Self::LONGEST {
            let part: Vec<u8> = self.rest.drain(..cut(&self.rest, Self::LONGEST)).collect();
            self.show(&part);
        }
    }

    fn show(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let (host, error, width) = (self.host, self.error, self.width);
        if self.ui.is_json() {
            let stream = if error { OutputStream::Stderr } else { OutputStream::Stdout };
            self.ui.json(&Line::Output { host, stream, text: &line });
            return;
        }
        let text = format!("{host:width$}  {}", visible(&line));
        if error { self.ui.error_text(&text) } else { self.ui.line(&text) }
    }
}

/// Where to cut bytes that are longer than `longest`, so that no character of UTF-8 is cut in two.
fn cut(bytes: &[u8], longest: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (longest.saturating_sub(3)..=longest).rev().find(|at| !is_inside(*at)).unwrap_or(longest)
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.show(&self.rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = "é".repeat(20);
        assert_eq!(cut(text.as_bytes(), 10), 10);
        assert_eq!(cut(text.as_bytes(), 11), 10);
        let wide = "\u{1f980}".repeat(5);
        assert_eq!([8, 9, 10, 11].map(|longest| cut(wide.as_bytes(), longest)), [8; 4]);
        assert_eq!(cut(&[0x80; 20], 10), 10, "bytes that are not UTF-8 are cut anywhere");
    }
}
