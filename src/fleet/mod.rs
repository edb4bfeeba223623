//! The hosts of an environment, served together.
//!
//! A [`Fleet`] holds one [`Member`] a host. What is asked of all of them is asked at once, and at most `jobs` hosts
//! are at work at a time; their connections stay open all the while. The parts of a release over the fleet
//! have a module each: [`lock`], [`staging`], [`transaction`] (switch, activate, commit, go back), [`activation`] (the order
//! over all hosts), `aftermath` (what became of hosts that were lost), [`history`] (the journals read together) and
//! [`facts`] (what the hosts know of themselves).

pub mod activation;
mod aftermath;
pub mod facts;
pub mod history;
pub mod lock;
pub mod order;
pub mod staging;
pub mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use batou_release::{HostName, Participant};
use batou_store::Digest;
use order::HostOrder;

use crate::remote::{Connection, Dialer, Link, RemoteError, Route, StartError};
use batou_agent::protocol::{Hello, PROTOCOL, Reply, Request, State, TargetCondition, WantedRelease};

/// One host of a fleet, and the conversation with it.
#[derive(Debug)]
pub struct Member {
    /// How it is reached.
    pub route: Route,
    /// How we introduce ourselves.
    pub hello: Hello,
    link: Option<Link>,
    calling: Option<Calling>,
    connection: Arc<Connection>,
}

type Calling = tokio::task::JoinHandle<Result<Link, RemoteError>>;

/// All hosts that take part in a command.
#[derive(Debug)]
pub struct Fleet {
    members: BTreeMap<Participant, Member>,
    jobs: Arc<Semaphore>,
    dialer: Arc<Dialer>,
}

/// What each host answered.
pub type Answers<T> = BTreeMap<HostName, Result<T, RemoteError>>;

/// What failed, and why: hosts, or what is named more closely.
pub type Failures<S = HostName> = BTreeMap<S, RemoteError>;

/// Parts answers into the good and the bad.
pub fn sort<T>(answers: Answers<T>) -> (BTreeMap<HostName, T>, Failures) {
    let (mut good, mut bad) = (BTreeMap::new(), BTreeMap::new());
    for (host, answer) in answers {
        match answer {
            Ok(value) => drop(good.insert(host, value)),
            Err(error) => drop(bad.insert(host, error)),
        }
    }
    (good, bad)
}

/// Who we are, as every host of an environment is told.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
}

impl Fleet {
    /// A fleet of these hosts; no host is contacted yet. The second of a pair is the home that the host's
    /// configuration relies on.
    pub fn new(
        identity: &Identity,
        routes: Vec<(Route, Option<String>)>,
        dialer: &Arc<Dialer>,
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
            let connection = Arc::new(Connection::new(Arc::clone(dialer), route.clone()));
            let participant = Participant::service(route.host.clone());
            (participant, Member { route, hello, link: None, calling: None, connection })
        };
        let members = routes.into_iter().map(member).collect();
        Fleet { members, jobs: Arc::new(Semaphore::new(jobs.max(1))), dialer: Arc::clone(dialer) }
    }

    /// The hosts' names.
    pub fn hosts(&self) -> Vec<HostName> {
        self.members.keys().map(|participant| participant.host.clone()).collect()
    }

    /// The host of that name.
    pub fn member(&mut self, host: &HostName) -> Option<&mut Member> {
        self.members.get_mut(&Participant::service(host.clone()))
    }

    /// Leaves hosts out of all that follows.
    pub fn leave_out(&mut self, hosts: impl IntoIterator<Item = HostName>) {
        for host in hosts {
            self.members.retain(|participant, _| participant.host != host);
        }
    }

    /// Begins to call the first `jobs` hosts in the background; the next question to a host waits for its answer.
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
    pub async fn each<T>(&mut self, work: impl AsyncFn(&mut Member) -> Result<T, RemoteError>) -> Answers<T> {
        self.some(|_| true, work).await
    }

    /// Asks the hosts that `choose` names, at once.
    pub async fn some<T>(
        &mut self,
        choose: impl Fn(&HostName) -> bool,
        work: impl AsyncFn(&mut Member) -> Result<T, RemoteError>,
    ) -> Answers<T> {
        let (jobs, work) = (&self.jobs, &work);
        let chosen = self.members.iter_mut().filter(|(participant, _)| choose(&participant.host));
        let asked = chosen.map(|(participant, member)| async move {
            let _permit = jobs.acquire().await;
            (participant.host.clone(), work(member).await)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Every host's state; connects where that has not been done.
    pub async fn states(&mut self) -> Answers<State> {
        self.each(async |member: &mut Member| member.state().await).await
    }

    /// Ends all conversations at once, for hosts that have nothing in hand.
    pub fn abandon(mut self) {
        self.cut_off();
    }

    /// Ends all conversations at once, whatever hosts have in hand.
    fn cut_off(&mut self) {
        for link in self.members.values_mut().filter_map(|member| member.link.take()) {
            link.abandon();
        }
    }
}

impl Drop for Fleet {
    /// All agents are told to end before the first is waited for; then the connections end.
    fn drop(&mut self) {
        self.members.values_mut().filter_map(|member| member.link.as_mut()).for_each(Link::finish);
        self.members.clear();
        self.dialer.end();
    }
}

impl Member {
    /// Asks the agent, starting it first where there is no conversation. After a lost connection, the
    /// conversation is over.
    pub async fn ask(&mut self, request: &Request, raw: &[u8]) -> Result<(Reply, Vec<u8>), RemoteError> {
        let answer = self.link().await?.ask(request, raw).await;
        self.keep_unless_lost(answer)
    }

    /// The next frame of an answer that has several.
    pub async fn receive(&mut self) -> Result<(Reply, Vec<u8>), RemoteError> {
        let answer = self.link().await?.receive().await;
        self.keep_unless_lost(answer)
    }

    fn keep_unless_lost<T>(&mut self, answer: Result<T, RemoteError>) -> Result<T, RemoteError> {
        if matches!(answer, Err(RemoteError::Lost { .. })) {
            self.hang_up();
        }
        answer
    }

    /// Asks for something that is answered by `Done`.
    pub async fn tell(&mut self, request: &Request) -> Result<(), RemoteError> {
        match self.ask(request, &[]).await?.0 {
            Reply::Done => Ok(()),
            _ => Err(RemoteError::Protocol),
        }
    }

    /// The host's state.
    pub async fn state(&mut self) -> Result<State, RemoteError> {
        let hello = Request::Hello(self.hello.clone());
        match self.ask(&hello, &[]).await?.0 {
            Reply::Hello(state) => Ok(*state),
            _ => Err(RemoteError::Protocol),
        }
    }

    /// Makes the target directory where the agent's user may not. One that is there is never given to him: it may be
    /// anything, `/etc` too.
    pub async fn prepare(&mut self, state: &State) -> Result<(), RemoteError> {
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
        joined(tokio::task::spawn_blocking(move || connection.prepare())).await
    }

    /// Ends the conversation; an agent in the middle of a release goes back. It is waited for elsewhere, since this
    /// thread has other hosts to serve.
    pub fn hang_up(&mut self) {
        if let Some(link) = self.link.take() {
            std::thread::spawn(move || drop(link));
        }
    }

    /// Whether there is a conversation.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// The conversation, where there is one.
    fn connected(&mut self) -> Result<&mut Link, RemoteError> {
        self.link.as_mut().ok_or(RemoteError::Protocol)
    }

    /// Begins to call the host, unless there is a conversation.
    fn call(&mut self) {
        if self.link.is_none() && self.calling.is_none() {
            let connection = Arc::clone(&self.connection);
            self.calling = Some(tokio::task::spawn_blocking(move || connection.dial()));
        }
    }

    async fn link(&mut self) -> Result<&mut Link, RemoteError> {
        self.call();
        if let Some(calling) = self.calling.take() {
            self.link = Some(joined(calling).await?);
        }
        self.connected()
    }

    /// A manifest that the host has, with its causes; the current one where none is named.
    pub async fn manifest(&mut self, digest: Option<Digest>) -> Result<Option<HostOrder>, RemoteError> {
        let (reply, raw) = self.ask(&Request::Manifest { manifest: digest }, &[]).await?;
        let Reply::Manifest { manifest_size } = reply else { return Err(RemoteError::Protocol) };
        if manifest_size == 0 {
            return Ok(None);
        }
        let (bytes, causes) = raw.split_at_checked(manifest_size as usize).ok_or(RemoteError::Protocol)?;
        HostOrder::received(bytes, causes, digest).map(Some)
    }
}

async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
