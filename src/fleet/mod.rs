//! The hosts of an environment, served together.
//!
//! A [`Fleet`] holds one [`Member`] for each host. Questions go to all hosts at once, with at most `jobs` hosts
//! at work at a time; the connections stay open throughout. Each part of a release over the fleet has its own
//! module: [`lock`], [`staging`], [`release`] (switch, activate, commit), `going_back`, [`activation`] (the order
//! over all hosts), `aftermath` (what became of hosts that were lost), [`history`] (the journals read together)
//! and [`facts`] (what the hosts know of themselves).

pub mod activation;
mod aftermath;
pub mod facts;
mod going_back;
pub mod history;
pub mod lock;
pub mod order;
pub mod release;
pub mod staging;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use batou_release::{HostName, HostRelease, Participant};
use batou_store::Digest;

use crate::remote::{
    Dialer, HostConnection, Link, RemoteError, RemoteStore, Route, StartError, Working, blocking,
};
use crate::waits::{WaitGuard, Waits};
use batou_agent::protocol::question::{self, LockAnswer};
use batou_agent::protocol::{Hello, Holder, PROTOCOL, Question, State, TargetCondition, WantedRelease};

/// One host of a fleet, and the conversation with it.
#[derive(Debug)]
pub struct Member {
    /// How it is reached.
    pub route: Route,
    /// How we introduce ourselves.
    pub hello: Hello,
    link: Option<Link>,
    calling: Option<Calling>,
    connection: Arc<HostConnection>,
    waits: Arc<Waits>,
    /// Whether the host, once it is locked, may first have to go back from an interrupted release.
    unfinished: bool,
    /// The newest number in its journal.
    newest_sequence: u64,
}

type Calling = Result<Working<Result<Link, RemoteError>>, StartError>;

/// All hosts that take part in a command.
#[derive(Debug)]
pub struct Fleet {
    members: BTreeMap<Participant, Member>,
    jobs: Arc<Semaphore>,
    dialer: Arc<Dialer>,
}

/// What each host answered.
pub type ByHost<T> = BTreeMap<HostName, Result<T, RemoteError>>;

/// What failed and why, by host or by a more precise subject.
pub type Failures<S = HostName> = BTreeMap<S, RemoteError>;

/// Separates the answers from the failures.
pub fn sort<T>(answers: ByHost<T>) -> (BTreeMap<HostName, T>, Failures) {
    let (mut good, mut bad) = (BTreeMap::new(), BTreeMap::new());
    for (host, answer) in answers {
        match answer {
            Ok(value) => drop(good.insert(host, value)),
            Err(error) => drop(bad.insert(host, error)),
        }
    }
    (good, bad)
}

/// What all hosts answered, or what failed.
pub fn all<T>(answers: ByHost<T>) -> Result<BTreeMap<HostName, T>, Failures> {
    let (good, bad) = sort(answers);
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

/// Who we are, as told to every host of an environment.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
}

impl Fleet {
    /// A fleet of these hosts; contacts none of them yet. The second of each pair is the home directory that
    /// the host's configuration assumes.
    pub fn new(
        identity: &Identity,
        routes: Vec<(Route, Option<String>)>,
        (dialer, waits): (&Arc<Dialer>, &Arc<Waits>),
        jobs: usize,
    ) -> Self {
        let member = |(route, home): (Route, Option<String>)| {
            let hello = Hello {
                protocol: PROTOCOL,
                project: identity.project.clone(),
                environment: identity.environment.clone(),
                host: route.host.clone(),
                target_directory: route.target_directory.display().to_string(),
                home,
                wanted: None,
            };
            let connection = Arc::new(HostConnection::new(Arc::clone(dialer), route.clone()));
            let participant = Participant::service(route.host.clone());
            let (link, calling, waits) = (None, None, Arc::clone(waits));
            let (unfinished, newest_sequence) = (false, 0);
            let member =
                Member { route, hello, link, calling, connection, waits, unfinished, newest_sequence };
            (participant, member)
        };
        let members = routes.into_iter().map(member).collect();
        Fleet { members, jobs: Arc::new(Semaphore::new(jobs.max(1))), dialer: Arc::clone(dialer) }
    }

    /// The hosts' names.
    pub fn hosts(&self) -> Vec<HostName> {
        self.members.keys().map(|participant| participant.host.clone()).collect()
    }

    /// The host with this name.
    pub fn member(&mut self, host: &HostName) -> Option<&mut Member> {
        self.members.get_mut(&Participant::service(host.clone()))
    }

    /// Leaves hosts out of all that follows.
    pub fn leave_out(&mut self, hosts: impl IntoIterator<Item = HostName>) {
        for host in hosts {
            self.members.retain(|participant, _| participant.host != host);
        }
    }

    /// Starts calling the first `jobs` hosts in the background; the next question to a host waits for that
    /// call.
    pub fn call(&mut self) {
        let jobs = self.jobs.available_permits();
        for member in self.members.values_mut().take(jobs) {
            member.call();
        }
    }

    /// Sets the release that a host is asked about.
    pub fn want(&mut self, host: &HostName, wanted: WantedRelease) {
        if let Some(member) = self.member(host) {
            member.hello.wanted = Some(wanted);
        }
    }

    /// Asks all hosts at once.
    pub async fn each<T>(&mut self, work: impl AsyncFn(&mut Member) -> Result<T, RemoteError>) -> ByHost<T> {
        self.some(|_| true, work).await
    }

    /// Asks, all at once, the hosts that `choose` names.
    pub async fn some<T>(
        &mut self,
        choose: impl Fn(&HostName) -> bool,
        work: impl AsyncFn(&mut Member) -> Result<T, RemoteError>,
    ) -> ByHost<T> {
        let (jobs, work) = (&self.jobs, &work);
        let chosen = self.members.iter_mut().filter(|(participant, _)| choose(&participant.host));
        let asked = chosen.map(|(participant, member)| async move {
            let _permit = jobs.acquire().await;
            (participant.host.clone(), work(member).await)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Every host's state. Connects to hosts that are not connected yet.
    pub async fn states(&mut self) -> ByHost<State> {
        self.each(async |member: &mut Member| member.state().await).await
    }

    /// Ends all conversations at once. What the hosts are in the middle of, nobody gets to know.
    pub fn abandon(mut self) {
        self.cut_off();
    }

    /// Ends all conversations at once, whatever the hosts are doing.
    fn cut_off(&mut self) {
        for link in self.members.values_mut().filter_map(|member| member.link.take()) {
            link.abandon();
        }
    }
}

impl Drop for Fleet {
    /// Tells all agents to end before waiting for the first one; then the connections end.
    fn drop(&mut self) {
        self.members.values_mut().filter_map(|member| member.link.as_mut()).for_each(Link::finish);
        self.members.clear();
        self.dialer.end();
    }
}

impl Member {
    /// Asks the agent, starting it first if there is no conversation. A lost connection ends the conversation.
    pub async fn ask<A>(&mut self, question: &Question<A>) -> Result<A, RemoteError> {
        self.listen(question, |_, _| {}).await
    }

    /// Like [`Member::ask`], but also passes on what is printed before the answer, and whether it was printed
    /// as an error.
    pub async fn listen<A>(
        &mut self,
        question: &Question<A>,
        output: impl FnMut(bool, &[u8]),
    ) -> Result<A, RemoteError> {
        self.link().await?;
        let terms = question.terms();
        let _waiting = self.wait(terms.verb, terms.patience.is_some());
        let answer = self.link().await?.ask(question, output).await;
        self.keep_unless_lost(answer)
    }

    /// Shows the host as waited for until the returned guard is dropped.
    fn wait(&self, verb: &'static str, is_short: bool) -> WaitGuard {
        self.waits.begin(&self.route.host, verb, is_short)
    }

    /// Waits for the end of a conversation in which nothing is asked; waits forever if there is no
    /// conversation.
    async fn lost(&mut self) -> RemoteError {
        let Some(link) = &mut self.link else { return std::future::pending().await };
        let error = link.lost().await;
        self.hang_up();
        error
    }

    fn keep_unless_lost<T>(&mut self, answer: Result<T, RemoteError>) -> Result<T, RemoteError> {
        if answer.as_ref().is_err_and(RemoteError::ends_conversation) {
            self.hang_up();
        }
        answer
    }

    /// Copies objects between the host's store and ours on a separate thread, which holds the link meanwhile.
    /// If the future is dropped before the copy ends, the conversation ends too.
    pub(super) async fn copy<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(RemoteStore<'_>) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let mut link = self.link.take().ok_or(RemoteError::Protocol)?;
        let recall = link.recall();
        let runtime = tokio::runtime::Handle::current();
        let _waiting = self.wait("staging", false);
        let copying = blocking(move || {
            let answer = work(RemoteStore::new(&mut link, &runtime));
            (link, answer)
        })?;
        let (link, answer) = copying.wait().await;
        recall.forget();
        self.link = Some(link);
        self.keep_unless_lost(answer)
    }

    /// The host's state.
    pub async fn state(&mut self) -> Result<State, RemoteError> {
        let state = self.ask(&question::hello(self.hello.clone())).await?;
        self.unfinished = state.unfinished;
        self.newest_sequence = state.newest_sequence;
        Ok(state)
    }

    /// Takes the host's lock, or learns who holds it. This also has the host go back from an interrupted release, together
    /// with its units, which can take any amount of time.
    pub async fn lock(&mut self, holder: &Holder) -> Result<LockAnswer, RemoteError> {
        let question = question::lock(holder.clone());
        let question = if self.unfinished { question.patiently() } else { question };
        let answer = self.ask(&question).await?;
        // The holder may still be interrupted, and the host must then go back.
        self.unfinished = matches!(answer, LockAnswer::Held(_));
        Ok(answer)
    }

    /// Makes the target directory if the agent's user may not. An existing directory is never handed over to
    /// that user: it could be anything, even `/etc`.
    pub async fn make_target(&mut self, state: &State) -> Result<(), RemoteError> {
        let directory = self.hello.target_directory.clone();
        match state.target {
            TargetCondition::Ready => return Ok(()),
            TargetCondition::Forbidden => {
                return Err(StartError::Taken { directory, user: state.user.clone() }.into());
            }
            TargetCondition::ReadOnly => return Err(StartError::ReadOnly(directory).into()),
            TargetCondition::Absent => {}
        }
        let connection = Arc::clone(&self.connection);
        let _waiting = self.wait("making the target directory", true);
        blocking(move || connection.make_target())?.wait().await
    }

    /// Ends the conversation; an agent in the middle of a release goes back. Another thread waits for that,
    /// because this one has other hosts to serve.
    pub fn hang_up(&mut self) {
        if let Some(link) = self.link.take() {
            // If no thread can be started, this one waits, for a few seconds at most.
            let _ = blocking(move || drop(link));
        }
    }

    /// Whether there is a conversation.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Starts calling the host, unless there is a conversation.
    fn call(&mut self) {
        if self.link.is_none() && self.calling.is_none() {
            let connection = Arc::clone(&self.connection);
            self.calling = Some(blocking(move || connection.dial()));
        }
    }

    async fn link(&mut self) -> Result<&mut Link, RemoteError> {
        self.call();
        if let Some(calling) = self.calling.take() {
            let _waiting = self.wait("connecting", true);
            self.link = Some(calling?.wait().await?);
        }
        self.link.as_mut().ok_or(RemoteError::Protocol)
    }

    /// A manifest that the host has, with its causes; the current one if no digest is given.
    pub async fn manifest(&mut self, digest: Option<Digest>) -> Result<Option<HostRelease>, RemoteError> {
        let Some(stored) = self.ask(&question::manifest(digest)).await? else { return Ok(None) };
        let release = HostRelease::decode(stored.manifest, &stored.causes)?;
        // The answer must be what was asked for, and must be this host's: another host's manifest would order
        // other components.
        if digest.is_some_and(|asked| asked != release.digest()) {
            return Err(RemoteError::Protocol);
        }
        let (ours, found) = (&self.hello, release.manifest());
        if (&ours.project, &ours.environment, &ours.host) == (&found.project, &found.environment, &found.host)
        {
            return Ok(Some(release));
        }
        let (project, environment) = (found.project.clone(), found.environment.clone());
        Err(RemoteError::ForeignManifest { project, environment, host: found.host.clone() })
    }
}
