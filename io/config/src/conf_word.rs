//! The answer to the four-letter word `conf` (features FL-10).

use std::fmt::Write;
use std::path::Path;

use zabra_quorum::{Membership, PeerAddress, Role};

use crate::config::Config;
use crate::mode::Mode;

/// What only a running server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The port that was bound for clients, -1 for none.
    pub client_port: i32,
    /// The port that was bound for clients with TLS, -1 for none.
    pub secure_client_port: i32,
    /// Bytes in the directory of snapshots, all below it counted.
    pub snapshot_dir_bytes: u64,
    /// Bytes in the directory of transaction logs, all below it counted.
    pub log_dir_bytes: u64,
}

/// The whole answer. A member shows the membership `in_force`, or the one it was started with. A relative directory is
/// shown below `working_dir`, as Java shows it.
pub fn conf_text(
    config: &Config,
    running: Running,
    in_force: Option<&Membership>,
    working_dir: &Path,
) -> String {
    let storage = &config.storage;
    let member = match &config.mode {
        Mode::Standalone => None,
        Mode::Member(member) => Some(member),
    };
    let server_id = member.map_or(0, |member| member.sid.0);
    let backlog = config.listen_backlog.map_or(-1, i64::from);
    let millis = |duration: std::time::Duration| duration.as_millis().to_string();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{key}={value}");
    };
    line("clientPort", &running.client_port.to_string());
    line("secureClientPort", &running.secure_client_port.to_string());
    line("dataDir", &absolute(working_dir, &storage.snapshot_dir()));
    line("dataDirSize", &running.snapshot_dir_bytes.to_string());
    line("dataLogDir", &absolute(working_dir, &storage.log_dir()));
    line("dataLogSize", &running.log_dir_bytes.to_string());
    line("tickTime", &millis(config.sessions.tick));
    line(
        "maxClientCnxns",
        &config.limits.connections_per_client.to_string(),
    );
    line("minSessionTimeout", &millis(config.sessions.timeout_min));
    line("maxSessionTimeout", &millis(config.sessions.timeout_max));
    line("clientPortListenBacklog", &backlog.to_string());
    line("serverId", &server_id.to_string());
    let Some(member) = member else {
        return text;
    };
    let membership = in_force.unwrap_or(&member.committed);
    let own = membership.member(member.sid);
    let ports = |port: fn(&PeerAddress) -> u16| {
        let addresses = own.into_iter().flat_map(|line| &line.addresses);
        let ports: Vec<String> = addresses.map(|address| port(address).to_string()).collect();
        ports.join("|")
    };
    let observes = own.is_some_and(|line| line.role == Role::Observer);
    line("initLimit", &member.init_limit.to_string());
    line("syncLimit", &member.sync_limit.to_string());
    line("electionAlg", "3");
    line("electionPort", &ports(|address| address.election_port));
    line("quorumPort", &ports(|address| address.quorum_port));
    line("peerType", if observes { "1" } else { "0" });
    text.push_str("membership: \n");
    text.push_str(&membership.to_string());
    text
}

/// Java's `getAbsolutePath`: dots stay, repeated slashes and one at the end go.
fn absolute(working_dir: &Path, path: &Path) -> String {
    let written = working_dir.join(path).to_string_lossy().into_owned();
    let mut normal = String::with_capacity(written.len());
    for c in written.chars() {
        if c != '/' || !normal.ends_with('/') {
            normal.push(c);
        }
    }
    if normal.len() > 1 && normal.ends_with('/') {
        normal.pop();
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nowhere, SystemProperties, World};
    use std::io;
    use std::net::IpAddr;

    const RUNNING: Running = Running {
        client_port: 2181,
        secure_client_port: -1,
        snapshot_dir_bytes: 424,
        log_dir_bytes: 67_108_880,
    };

    fn config(cfg: &str, world: &dyn World) -> Config {
        Config::from_bytes("zoo.cfg", cfg.as_bytes(), &SystemProperties::new(), world)
            .expect("well formed")
    }

    #[test]
    fn a_standalone_server_shows_twelve_lines() {
        let cfg = "dataDir=./data\ndataLogDir=/logs/\nclientPort=2181\ntickTime=2000\n";
        assert_eq!(
            conf_text(&config(cfg, &Nowhere), RUNNING, None, Path::new("/home/zk")),
            "clientPort=2181\n\
             secureClientPort=-1\n\
             dataDir=/home/zk/./data/version-2\n\
             dataDirSize=424\n\
             dataLogDir=/logs/version-2\n\
             dataLogSize=67108880\n\
             tickTime=2000\n\
             maxClientCnxns=60\n\
             minSessionTimeout=4000\n\
             maxSessionTimeout=40000\n\
             clientPortListenBacklog=-1\n\
             serverId=0\n"
        );
    }

    #[test]
    fn a_member_adds_its_limits_and_the_membership_without_a_last_newline() {
        struct MyIdIs2;
        impl World for MyIdIs2 {
            fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
                path.ends_with("myid")
                    .then(|| b"2\n".to_vec())
                    .ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            fn resolve(&self, _: &str) -> io::Result<IpAddr> {
                Ok(IpAddr::from([0, 0, 0, 0]))
            }
        }
        let cfg = "dataDir=/d\ninitLimit=10\nsyncLimit=5\nmultiAddress.enabled=true\n\
                   server.1=a:2888:3888;2181\nserver.2=b:2888:3888|c:2889:3889:observer;2182\nserver.3=d:2888:3888;2181\n";
        let text = conf_text(&config(cfg, &MyIdIs2), RUNNING, None, Path::new("/"));
        let tail = text.split_once("serverId=2\n").expect("the own id").1;
        assert_eq!(
            tail,
            "initLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=3888|3889\nquorumPort=2888|2889\npeerType=1\n\
             membership: \n\
             server.1=a:2888:3888:participant;0.0.0.0:2181\n\
             server.2=b:2888:3888|c:2889:3889:observer;0.0.0.0:2182\n\
             server.3=d:2888:3888:participant;0.0.0.0:2181\n\
             version=0"
        );
    }
}
