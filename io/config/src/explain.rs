//! What the configuration of a member means, in words: for `zabra check`.

use std::net::IpAddr;
use std::time::Duration;

use zabra_quorum::{ClientAddress, ConfigVersion, Member, Membership, Role};

use crate::config::Config;
use crate::mode::ThisMember;

/// Who is in the ensemble, what decides, and how long it waits; a line each.
pub(crate) fn explain(config: &Config, this: &ThisMember) -> Vec<String> {
    let mut lines = Vec::new();
    let file = config.ensemble.dynamic_file.as_ref();
    let source = file
        .or(config.file.as_ref())
        .map_or_else(|| "zoo.cfg".to_owned(), |file| file.display().to_string());
    lines.push(format!(
        "members are those of {source}, version {}",
        this.committed.version()
    ));
    for member in this.committed.members().values() {
        lines.push(member_line(this, member));
    }
    lines.push(quorum_line(&this.committed));
    if let Some(proposed) = &this.last_seen {
        lines.push(format!(
            "a reconfiguration to version {} was proposed and not committed: until it is, both must agree",
            proposed.version()
        ));
    }
    lines.extend(waits(config.sessions.tick, this));
    lines.push(reconfig_line(config, this.committed.version()));
    lines
}

/// What may not work although it is well formed.
pub(crate) fn doubts(members: &Membership) -> Vec<String> {
    let mut doubts = Vec::new();
    let all: Vec<&Member> = members.members().values().collect();
    let is_loopback = |member: &&Member| {
        member.addresses.iter().all(|address| {
            let number = address.host.parse::<IpAddr>();
            number.map_or(address.host == "localhost", |number| number.is_loopback())
        })
    };
    let loopback = all.iter().filter(|member| is_loopback(member)).count();
    if loopback > 0 && loopback < all.len() {
        for member in all.iter().filter(|member| is_loopback(member)) {
            doubts.push(format!(
                "server.{}: other machines cannot reach {}",
                member.sid, member.addresses[0].host
            ));
        }
    }
    for (n, one) in all.iter().enumerate() {
        for other in &all[n + 1..] {
            let shared = one.addresses.iter().find(|at| {
                let mut others = other.addresses.iter();
                others.any(|other| {
                    let taken = [other.quorum_port, other.election_port];
                    at.host == other.host
                        && (taken.contains(&at.quorum_port) || taken.contains(&at.election_port))
                })
            });
            if let Some(at) = shared {
                doubts.push(format!(
                    "server.{} and server.{} have a port of {} in common",
                    one.sid, other.sid, at.host
                ));
            }
        }
    }
    doubts
}

fn member_line(this: &ThisMember, member: &Member) -> String {
    let addresses = member.addresses.iter().map(|at| {
        format!(
            "{}, quorum port {}, election port {}",
            at.host, at.quorum_port, at.election_port
        )
    });
    let addresses: Vec<String> = addresses.collect();
    let role = match (member.role, this.committed.weight(member.sid).0) {
        (Role::Observer, _) => "observes",
        (Role::Participant, 0) => "follows with weight 0, never leads",
        (Role::Participant, _) => "votes",
    };
    let clients = |client: &ClientAddress| format!("; clients at {}", client.at);
    let clients = member.client.as_ref().map_or_else(String::new, clients);
    let own = if member.sid == this.sid {
        ", this server"
    } else {
        ""
    };
    format!(
        "server.{}{own}: {role}; {}{clients}",
        member.sid,
        addresses.join(" or ")
    )
}

fn quorum_line(members: &Membership) -> String {
    if let Some(hierarchy) = members.hierarchy() {
        let groups = hierarchy.groups().len();
        return format!(
            "a quorum is more than half of the {groups} groups, each by more than half of its weight"
        );
    }
    let voters = members.voters().len();
    let (quorum, spare) = (voters / 2 + 1, (voters - 1) / 2);
    let spare = match spare {
        0 => "none may fail".to_owned(),
        spare => format!("{spare} may fail"),
    };
    format!("a quorum is {quorum} of {voters} voters: {spare}")
}

fn waits(tick: Duration, this: &ThisMember) -> [String; 2] {
    let seconds = |ticks: u32| tick.saturating_mul(ticks).as_secs_f64();
    [
        format!(
            "a learner has {} s to connect and to get in step (initLimit {} ticks of {} ms)",
            seconds(this.init_limit),
            this.init_limit,
            tick.as_millis()
        ),
        format!(
            "who is silent for {} s is given up (syncLimit {} ticks)",
            seconds(this.sync_limit),
            this.sync_limit
        ),
    ]
}

fn reconfig_line(config: &Config, version: ConfigVersion) -> String {
    match (config.membership_files(), version) {
        (None, ConfigVersion::INITIAL) => {
            "reconfigEnabled=false: the members stay as they are written here".to_owned()
        }
        (None, _) => "reconfigEnabled=false, although the members were changed by reconfig: later changes are not \
                      followed; it must be the same on every server"
            .to_owned(),
        (Some(_), _) => "reconfigEnabled=true: members may change, and these files with them".to_owned(),
    }
}
