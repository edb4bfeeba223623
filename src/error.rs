//! The one error type of the command line: what failed, why, what to do about it, and the exit status.

use std::error::Error;
use std::fmt;

use batou_environments::Diagnostics;

/// What the exit status tells about the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The command line was wrong; nothing was done. Exit status 2.
    Usage,
    /// What the user wrote is wrong; nothing was done. Exit status 2.
    Input,
    /// The command failed; nothing changed, or every host went back. Exit status 1.
    Failed,
    /// Hosts are left in differing states. Exit status 3.
    Diverged,
    /// Nobody reads the output any more, so nothing is printed. Exit status 141, as of a program that SIGPIPE
    /// ends.
    Unread,
}

/// Why a command did not succeed. Its message names the subject; its sources say why.
#[derive(Debug)]
pub struct CommandError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ExitKind,
    what: What,
    hints: Vec<String>,
}

#[derive(Debug)]
enum What {
    Text { message: String, source: Option<Box<dyn Error + Send + Sync>> },
    Error(Box<dyn Error + Send + Sync>),
    Diagnostics(Diagnostics),
}

impl CommandError {
    /// The command line was wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::text(ExitKind::Usage, message.into())
    }

    /// What the user wrote is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self::text(ExitKind::Input, message.into())
    }

    /// The command failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::text(ExitKind::Failed, message.into())
    }

    /// Hosts are left in differing states.
    pub fn diverged(message: impl Into<String>) -> Self {
        Self::text(ExitKind::Diverged, message.into())
    }

    /// Nobody reads the output any more.
    pub fn unread() -> Self {
        Self::text(ExitKind::Unread, "nobody reads the output any more".to_owned())
    }

    /// An error that already names its subject.
    pub fn from_error(kind: ExitKind, error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(Inner { kind, what: What::Error(Box::new(error)), hints: Vec::new() }))
    }

    fn text(kind: ExitKind, message: String) -> Self {
        Self(Box::new(Inner { kind, what: What::Text { message, source: None }, hints: Vec::new() }))
    }

    /// Adds the error that caused this one. Only for errors made from a message, which have no other source.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if let What::Text { source, .. } = &mut self.0.what {
            *source = Some(cause.into());
        }
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Adds where the limit is set, if a file would have become larger than a session allows, here or on a host.
    #[must_use]
    pub fn or_file_limit(self) -> Self {
        let too_large = std::io::Error::from(rustix::io::Errno::FBIG).to_string();
        let is_it = self.to_string().contains(&too_large)
            || self.causes().iter().any(|cause| cause.contains(&too_large));
        if is_it { self.hint("the session there limits the size of files: see `ulimit -f`") } else { self }
    }

    /// This error, with the mistakes in the project's files that another one consists of, too.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let Inner { kind, what, hints } = *self.0;
        match (what, other.0.what) {
            (What::Diagnostics(own), What::Diagnostics(others)) => own.and(others).into(),
            (what, _) => Self(Box::new(Inner { kind, what, hints })),
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ExitKind {
        self.0.kind
    }

    /// The process's exit status.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            ExitKind::Failed => 1,
            ExitKind::Usage | ExitKind::Input => 2,
            ExitKind::Diverged => 3,
            ExitKind::Unread => 141,
        }
    }

    /// Whether nobody would read a report of it.
    pub fn is_unread(&self) -> bool {
        self.0.kind == ExitKind::Unread
    }

    /// What to do about it.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// Whether the controller's store failed, so that something in it may be damaged. That the store is in use
    /// does not count.
    pub fn is_of_store(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = match &self.0.what {
            What::Text { source, .. } => source.as_ref().map(|source| &**source as _),
            What::Error(error) => Some(&**error as _),
            What::Diagnostics(_) => None,
        };
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref() {
                return !matches!(error, batou_store::Error::Busy(_));
            }
            next = error.source();
        }
        false
    }

    /// The mistakes in the project's files, if it consists of those.
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match &self.0.what {
            What::Diagnostics(diagnostics) => Some(diagnostics),
            _ => None,
        }
    }

    /// The messages of the sources, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut source = self.source();
        while let Some(error) = source {
            causes.push(error.to_string());
            source = error.source();
        }
        causes
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.what {
            What::Text { message, .. } => out.write_str(message),
            What::Error(error) => error.fmt(out),
            What::Diagnostics(diagnostics) => diagnostics.fmt(out),
        }
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.what {
            What::Text { source, .. } => source.as_ref().map(|source| &**source as _),
            What::Error(error) => error.source(),
            What::Diagnostics(_) => None,
        }
    }
}

impl From<Diagnostics> for CommandError {
    fn from(diagnostics: Diagnostics) -> Self {
        let is_own = diagnostics.iter().any(|diagnostic| diagnostic.is_of_machine);
        let kind = if is_own { ExitKind::Failed } else { ExitKind::Input };
        Self(Box::new(Inner { kind, what: What::Diagnostics(diagnostics), hints: Vec::new() }))
    }
}

impl From<batou_store::Error> for CommandError {
    fn from(error: batou_store::Error) -> Self {
        use batou_store::Error as StoreError;
        let lost =
            matches!(error, StoreError::Damaged { .. } | StoreError::Missing(_) | StoreError::MissingBlob(_));
        let error = Self::from_error(ExitKind::Failed, error);
        if lost { error.hint("`batou build` makes again what the project's files still make") } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_exit_status() {
        let of = |error: CommandError| error.exit_code();
        assert_eq!(of(CommandError::failed("x")), 1);
        assert_eq!(of(CommandError::usage("x")), 2);
        assert_eq!(of(CommandError::input("x")), 2);
        assert_eq!(of(CommandError::diverged("x")), 3);
        assert_eq!(of(CommandError::unread()), 141);
    }

    #[test]
    fn an_error_of_the_store_is_known_as_such_wherever_it_is_among_the_causes() {
        let damage =
            || batou_store::Error::Damaged { path: "blobs/x".into(), fault: "its digest is y".to_owned() };
        assert!(CommandError::from(damage()).is_of_store());
        assert!(CommandError::input("out.tar cannot be written").because(damage()).is_of_store());
        assert!(!CommandError::failed("x").because(std::io::Error::other("y")).is_of_store());
    }

    #[test]
    fn causes_are_outermost_first() {
        let inner = CommandError::failed("the disk is full").because(std::io::Error::other("quota"));
        let error = CommandError::failed("web01 cannot be staged").because(inner);
        assert_eq!(error.to_string(), "web01 cannot be staged");
        assert_eq!(error.causes(), ["the disk is full", "quota"]);
    }
}
