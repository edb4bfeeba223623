//! Which host is meant, and where it is.

use batou_environments::{ConnectMethod, Host, Policy, former_host};
use batou_release::HostName;
use batou_system::fs;

use crate::context::Context;
use crate::error::CommandError;
use crate::naming;
use crate::ui::visible_name;

/// Refuses a host that is still in the environment: that is probably a mistake, and would leave the host
/// without its release, or the others without their memory of it.
pub(super) fn refuse_member(
    policy: &Policy,
    hosts: &[Host],
    host: &str,
    (lost, yes): (bool, bool),
) -> Result<(), CommandError> {
    let is_member = hosts.iter().any(|known| known.name == *host && !known.ignored);
    if !is_member || yes {
        return Ok(());
    }
    let (host, environment) = (visible_name(host), visible_name(&policy.name));
    let (what, confirmed) = if lost {
        ("the others would forget it; nothing was changed", "the others are to forget it")
    } else {
        ("would be left without its release; nothing was removed", "it is to be emptied")
    };
    let (where_it_is, confirmed) = if policy.protected {
        let both = format!("both that {environment} is meant and that {confirmed}");
        (format!("{environment} is protected, {host} is still a host of it"), both)
    } else {
        (format!("{host} is still a host of {environment}"), format!("that {confirmed}"))
    };
    let error = CommandError::input(format!("{where_it_is}, and {what}"));
    Err(error.hint(format!("take {host} out of [hosts] first, or confirm with --yes {confirmed}")))
}

/// The host as it is in the environment, or as it would be if it were there: as what is still said about it has it, or else
/// like the others, under its own name.
pub(super) fn find(
    context: &Context,
    policy: &Policy,
    hosts: &[Host],
    name: &str,
) -> Result<Host, CommandError> {
    if let Some(host) = hosts.iter().find(|host| host.name == name) {
        return Ok(Host { ignored: false, ..host.clone() });
    }
    let name = HostName::new(name).map_err(|error| CommandError::usage(error.to_string()))?;
    let host = match former_host(context.project()?, &policy.name, &name)? {
        Some(host) => host,
        None => like_the_others(policy, hosts, name)?,
    };
    // Only the host itself knows for certain what its `~` is.
    match policy.target_directory.as_ref().filter(|path| path.starts_with('~')) {
        Some(path) => Ok(Host { target_directory: path.clone(), home: None, ..host }),
        None => Ok(host),
    }
}

fn like_the_others(policy: &Policy, hosts: &[Host], name: HostName) -> Result<Host, CommandError> {
    let like = hosts.first().ok_or_else(|| naming::no_hosts(&policy.name))?;
    let domain = policy.host_domain.as_deref().filter(|_| !name.contains('.'));
    let fqdn = domain.map_or_else(|| name.to_string(), |domain| format!("{name}.{domain}"));
    // Each of several local hosts has a folder of its own.
    let own = |name: &HostName| format!("/work/{}/{name}", policy.name);
    let target = &like.target_directory;
    let beside = target.strip_suffix(&own(&like.name)).map(|above| format!("{above}{}", own(&name)));
    // A single one has the folder that theirs were in.
    let below = || Some(format!("{target}/{name}")).filter(|path| is_local(policy) && fs::is_dir(path));
    let target_directory = beside.or_else(below).unwrap_or_else(|| target.clone());
    Ok(Host {
        name,
        address: fqdn.clone(),
        fqdn,
        service_user: policy.service_user.clone(),
        require_sudo: policy.require_sudo,
        target_directory,
        ignored: false,
        ..like.clone()
    })
}

/// Whether all hosts are this machine, each at a place that batou chose.
fn is_local(policy: &Policy) -> bool {
    policy.connect_method == ConnectMethod::Local && policy.target_directory.is_none()
}
