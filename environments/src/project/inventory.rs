//! The hosts of an environment and the components of each: `[hosts]` and `[host.X]`.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use batou_release::HostName;

use crate::file::{Data, KeyValue, Table, TableReader};
use crate::project::Project;
use crate::project::facts::HostFacts;
use crate::project::host::{Host, fqdn, home_of};
use crate::project::host_tables::{Said, hosts_of};
use crate::project::policy::{self, AS_IT_IS, CheckedPolicy, ConnectMethod};
use crate::text::diagnostic::{Diagnostic, Problems, nearest};
use crate::text::name::{is_component, is_host};
use crate::text::source::{At, Text};

/// The hosts of an environment, by name.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) hosts: Vec<HostEntry>,
    /// Hosts that are dropped with `= false`, inherited or not. Other tables may still name them.
    pub(crate) dropped: BTreeSet<HostName>,
    /// The dropped hosts as they would be if they were not, as far as what is said about them is without mistakes.
    pub(crate) former: Vec<Host>,
}

/// A host and its components.
#[derive(Debug)]
pub(crate) struct HostEntry {
    pub(crate) host: Host,
    pub(crate) components: Vec<ComponentUse>,
    /// Where its data is set, by name.
    pub(crate) data_at: BTreeMap<String, At>,
}

/// A component on a host.
#[derive(Debug)]
pub(crate) struct ComponentUse {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    pub(crate) ignored: bool,
    pub(crate) at: At,
}

impl Inventory {
    pub(crate) fn contains(&self, host: &str) -> bool {
        self.hosts.binary_search_by(|entry| entry.host.name.as_str().cmp(host)).is_ok()
    }

    /// Those hosts that exist, of the ones that a key stands for. It is a mistake if there are none.
    pub(crate) fn known<'a, N: Borrow<str>>(
        &self,
        key: &str,
        at: &At,
        named: &'a [N],
        problems: &mut Problems,
    ) -> Vec<&'a N> {
        self.known_or((key, at), named, |near| near.unwrap_or("declare it in [hosts]".to_owned()), problems)
    }

    /// [`Inventory::known`], with what to do; it is told of the host that is named nearly so, as a question.
    fn known_or<'a, N: Borrow<str>>(
        &self,
        (key, at): (&str, &At),
        named: &'a [N],
        help: impl FnOnce(Option<String>) -> String,
        problems: &mut Problems,
    ) -> Vec<&'a N> {
        let known: Vec<_> = named.iter().filter(|name| self.contains((*name).borrow())).collect();
        if known.is_empty()
            && !named.is_empty()
            && !named.iter().any(|name| self.dropped.contains(name.borrow()))
        {
            let hosts = self.hosts.iter().map(|entry| entry.host.name.as_str());
            let help = help(nearest(key, hosts).map(|near| format!("did you mean `{near}`?")));
            problems.push(Diagnostic::error(format!("there is no host `{key}`")).at(at).help(help));
        }
        known
    }
}

/// Checks `[hosts]` and `[host.X]`.
pub(crate) fn check(
    hosts: &Table,
    more: &Table,
    checked: &CheckedPolicy,
    project: &Project,
    problems: &mut Problems,
) -> Inventory {
    let domain = checked.policy.host_domain.as_deref();
    let said = by_host(hosts, domain, true, problems);
    let details = by_host(more, domain, false, problems);
    let mut entries: BTreeMap<HostName, HostEntry> = BTreeMap::new();
    let mut dropped = BTreeSet::new();
    for (name, said) in &said {
        let Some((key, member)) = said.one(name, problems) else { continue };
        if matches!(member.node.data, Data::Boolean(false)) {
            dropped.insert(name.clone());
            continue;
        }
        let mut components = Vec::new();
        add_components(&member.node.data, &member.node.at, &mut components, problems);
        let mut host = bare(name.clone(), domain);
        host.ignored = key.starts_with('!');
        entries.insert(name.clone(), HostEntry { host, components, data_at: BTreeMap::new() });
    }
    for (name, said) in &details {
        let declares = said.exact.is_some_and(
            |(_, member)| matches!(&member.node.data, Data::Table(t) if t.contains_key("components")),
        );
        if declares && !dropped.contains(name) {
            let entry = || HostEntry {
                host: bare(name.clone(), domain),
                components: Vec::new(),
                data_at: BTreeMap::new(),
            };
            entries.entry(name.clone()).or_insert_with(entry);
        }
    }
    let mut inventory = Inventory { hosts: entries.into_values().collect(), dropped, former: Vec::new() };
    mention(more, domain, &inventory, problems);
    let count = inventory.hosts.len();
    for entry in &mut inventory.hosts {
        if let Some(said) = details.get(&entry.host.name) {
            detail(entry, said, problems);
        }
        complete(&mut entry.host, checked, project, count, problems);
    }
    let former = |name: &HostName| former(name, details.get(name), (checked, count), project);
    inventory.former = inventory.dropped.iter().filter_map(former).collect();
    inventory
}

/// A dropped host as it would be beside the others. Nobody has to mend what is said about it only to drop it, so mistakes in
/// that are not reported.
fn former(
    name: &HostName,
    said: Option<&Said<'_>>,
    (checked, count): (&CheckedPolicy, usize),
    project: &Project,
) -> Option<Host> {
    let mut problems = Problems::default();
    let host = bare(name.clone(), checked.policy.host_domain.as_deref());
    let mut entry = HostEntry { host, components: Vec::new(), data_at: BTreeMap::new() };
    if let Some(said) = said {
        detail(&mut entry, said, &mut problems);
    }
    complete(&mut entry.host, checked, project, count + 1, &mut problems);
    problems.finish().is_ok().then_some(entry.host)
}

/// What a table keyed by names and patterns says about each host.
fn by_host<'a>(
    table: &'a Table,
    domain: Option<&str>,
    marks: bool,
    problems: &mut Problems,
) -> BTreeMap<HostName, Said<'a>> {
    let mut said: BTreeMap<HostName, Said<'a>> = BTreeMap::new();
    for (key, member) in table {
        let written = if marks { key.strip_prefix('!').unwrap_or(key) } else { key };
        for host in hosts_of(written, &member.key, domain, problems) {
            said.entry(host.clone()).or_default().add(key, member, &host, problems);
        }
    }
    said
}

fn bare(name: HostName, domain: Option<&str>) -> Host {
    let fqdn = fqdn(&name, domain);
    Host {
        name,
        address: fqdn.clone(),
        fqdn,
        platform: None,
        service_user: None,
        home: None,
        target_directory: String::new(),
        require_sudo: None,
        ignored: false,
        data: BTreeMap::new(),
        facts: HostFacts::default(),
    }
}

/// Reports tables of hosts that do not exist, and entries that are not tables.
fn mention(more: &Table, domain: Option<&str>, inventory: &Inventory, problems: &mut Problems) {
    for (key, member) in more {
        // What is wrong with the key itself is reported by `by_host`.
        let named = hosts_of(key, &member.key, domain, &mut Problems::default());
        let own = format!(
            "declare it in [hosts], if only as `{key} = false` until it is retired, or remove this table"
        );
        let help = |near: Option<String>| near.map_or(String::new(), |near| near + " If not, ") + &own;
        inventory.known_or((key, &member.key), &named, help, problems);
        if !matches!(member.node.data, Data::Table(_)) {
            let message = format!("`host.{key}` must be a table, not {}", member.node.data.kind());
            problems.push(Diagnostic::error(message).at(&member.node.at));
        }
    }
}

/// Takes in what `[host.X]` says.
fn detail(entry: &mut HostEntry, said: &Said<'_>, problems: &mut Problems) {
    let Some(at) = said.exact.or(said.patterns.first().copied()).map(|(_, member)| member.node.at.clone())
    else {
        return;
    };
    let mut table = said.merged(&entry.host.name, problems);
    let data: Vec<(String, KeyValue)> = table.extract_if(.., |key, _| key.starts_with("data-")).collect();
    for (key, member) in data {
        let name = key.strip_prefix("data-").unwrap_or(&key).to_owned();
        match &member.node.data {
            Data::String(value) => {
                entry.data_at.insert(name.clone(), member.node.at.clone());
                entry.host.data.insert(name, value.clone());
            }
            other => {
                let message = format!("`{key}` must be a string, not {}", other.kind());
                problems.push(Diagnostic::error(message).at(&member.node.at));
            }
        }
    }
    // Messages do not name the host: a mistake in a pattern's table is to be one diagnostic for all its hosts.
    let mut reader = TableReader::new(&table, &at, "[host.…]", problems);
    reader.suggest("data-NAME");
    if let Some(address) =
        reader.plain_text("address", AS_IT_IS).and_then(|text| check_address(text, &mut reader))
    {
        entry.host.address = address;
    }
    entry.host.platform = reader.plain_text("platform", AS_IT_IS).map(|text| text.value);
    entry.host.service_user = policy::user(&mut reader);
    entry.host.require_sudo = reader.boolean("require_sudo");
    entry.host.ignored = reader.boolean("ignore").unwrap_or(entry.host.ignored);
    entry.host.home = home(&mut reader);
    if let Some(node) = reader.node("components") {
        add_components(&node.data, &node.at, &mut entry.components, reader.problems);
    }
    reader.elsewhere(
        policy::FOR_ALL_HOSTS,
        "it is set in [environment], for all hosts: a host that needs another can be in an environment of its own, \
         which `inherits` from this one",
    );
    reader.finish();
}

fn check_address(text: Text, reader: &mut TableReader<'_, '_>) -> Option<String> {
    if is_host(&text.value) {
        return Some(text.value);
    }
    let message = format!("`{}` is not a host's name or address", text.value);
    reader.problems.push(
        Diagnostic::error(message)
            .at(&text.at)
            .help("set ports and users in ssh_config; write an IPv6 address without brackets"),
    );
    None
}

fn home(reader: &mut TableReader<'_, '_>) -> Option<String> {
    let text = reader.plain_text("home", AS_IT_IS)?;
    let home = absolute(&text.value);
    if home.is_none() {
        let message = format!("`home` must be an absolute path without `..`, not `{}`", text.value);
        reader.problems.push(Diagnostic::error(message).at(&text.at));
    }
    home
}

/// Fills in what the environment says for all hosts.
fn complete(
    host: &mut Host,
    checked: &CheckedPolicy,
    project: &Project,
    count: usize,
    problems: &mut Problems,
) {
    let policy = &checked.policy;
    host.platform = host.platform.take().or_else(|| policy.platform.clone());
    host.service_user = host.service_user.take().or_else(|| policy.service_user.clone());
    host.require_sudo = host.require_sudo.or(policy.require_sudo);
    host.home = host.home.take().or_else(|| host.service_user.as_deref().map(home_of));
    host.target_directory = target_directory(host, checked, project, count, problems);
    // The home may be a guess, so it is kept only where the target directory depends on it.
    let relies = checked.target_directory.as_ref().is_some_and(|text| text.value.starts_with('~'));
    host.home = host.home.take().filter(|_| relies);
}

fn target_directory(
    host: &Host,
    checked: &CheckedPolicy,
    project: &Project,
    count: usize,
    problems: &mut Problems,
) -> String {
    let root = project.root.to_string_lossy();
    let local = checked.policy.connect_method == ConnectMethod::Local;
    let Some(text) = &checked.target_directory else {
        return match local {
            true if count > 1 => format!("{root}/work/{}/{}", checked.policy.name, host.name),
            true => format!("{root}/work/{}", checked.policy.name),
            false => format!("/srv/{}", project.name),
        };
    };
    let mut refuse = |message: &str, help: &str| {
        problems.push(Diagnostic::error(message).at(&text.at).help(help));
        String::new()
    };
    if local && count > 1 {
        let help = "leave it out: each host then gets a folder of its own below work/";
        return refuse("several local hosts cannot share one target_directory", help);
    }
    let written = match (text.value.strip_prefix('~'), &host.home) {
        (None, _) if local && !text.value.starts_with('/') => format!("{root}/{}", text.value),
        (None, _) => text.value.clone(),
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        (Some(_), None) => {
            return refuse(
                "`~` has no meaning without a service user",
                "set service_user, or home in [host.X]",
            );
        }
        (Some(_), Some(_)) => return refuse("`~user` is not supported", "write the full path"),
    };
    absolute(&written).unwrap_or_else(|| {
        refuse("`target_directory` must be an absolute path without `..`", "write it as /srv/NAME")
    })
}

/// An absolute path without `.`, `..`, empty parts or control characters, other than `/` itself.
fn absolute(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// Reads `["nginx", "app:web"]` or `"nginx, app:web"`.
fn add_components(data: &Data, at: &At, components: &mut Vec<ComponentUse>, problems: &mut Problems) {
    match data {
        Data::String(text) => {
            let mut start = 0;
            for part in text.split(',') {
                let name = part.trim();
                let offset = start + (part.len() - part.trim_start().len());
                start += part.len() + 1;
                if !name.is_empty() {
                    add_component(name, &at.within(text, offset..offset + name.len()), components, problems);
                }
            }
        }
        Data::Array(items) => {
            for item in items {
                match &item.data {
                    Data::String(text) => add_component(text.trim(), &item.at, components, problems),
                    other => {
                        let message = format!("a component must be a string, not {}", other.kind());
                        problems.push(Diagnostic::error(message).at(&item.at));
                    }
                }
            }
        }
        other => {
            let message =
                format!("the components of a host must be a list or a string, not {}", other.kind());
            let help = "write [\"nginx\", \"app\"] or \"nginx, app\"; `false` drops an inherited host";
            problems.push(Diagnostic::error(message).at(at).help(help));
        }
    }
}

/// One entry: `app`, `app:feature` or `!app`.
fn add_component(written: &str, at: &At, components: &mut Vec<ComponentUse>, problems: &mut Problems) {
    let (ignored, rest) = written.strip_prefix('!').map_or((false, written), |rest| (true, rest));
    let (name, feature) = rest.split_once(':').map_or((rest, None), |(name, feature)| (name, Some(feature)));
    if !is_component(name) || feature.is_some_and(|feature| !is_component(feature)) {
        let help = "a name is a lower-case letter, then lower-case letters, digits, `_` and `-`; write `app:web` for a feature";
        problems.push(Diagnostic::error(format!("`{written}` is not a component's name")).at(at).help(help));
        return;
    }
    let feature = feature.map(str::to_owned);
    if let Some(known) = components.iter_mut().find(|known| known.name == name) {
        let twice = feature
            .as_ref()
            .is_none_or(|feature| known.features.is_empty() || known.features.contains(feature));
        if twice || known.ignored != ignored {
            let message = format!("the component `{name}` is declared twice for one host");
            problems.push(Diagnostic::error(message).at(at).help("keep one of the two"));
        } else {
            known.features.extend(feature);
            known.features.sort();
        }
        return;
    }
    let features = feature.into_iter().collect();
    components.push(ComponentUse { name: name.to_owned(), features, ignored, at: at.clone() });
}
