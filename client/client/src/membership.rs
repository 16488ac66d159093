//! The ensemble's configuration: who is a member.

use zabra_cnxn::WatchKind;
use zabra_jute::Text;
use zabra_proto::client::{PathWatchRequest, ReconfigRequest};
use zabra_proto::{OpCode, Stat};

use crate::client::Client;
use crate::reads::data;
use crate::watch::OneshotWatch;
use crate::{Call, Data};

/// A change of the ensemble's membership: lines as in `zoo.cfg`.
///
/// Either servers join and leave, or the whole membership is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconfigure {
    /// Servers to add or to change, as `server.4=host:2888:3888;2181`, separated by commas.
    pub joining: Option<String>,
    /// Servers to remove: their numbers, separated by commas.
    pub leaving: Option<String>,
    /// All servers, instead of the two.
    pub members: Option<String>,
    /// The version of the configuration that is to be changed; `None` for any.
    pub from_version: Option<i64>,
}

/// The ensemble. Its znode is not below the chroot.
impl Client {
    /// The configuration, as text, and the Stat of its znode.
    ///
    /// # Errors
    ///
    /// `NO_NODE` by servers before 3.5, `NO_AUTH`.
    pub fn config(&self) -> Call<(Data, Stat)> {
        let body = PathWatchRequest {
            path: Text::Borrowed(CONFIG),
            watch: false,
        };
        self.send(OpCode::GetData, CONFIG, &body, data)
    }

    /// The same, with a watch for the next change.
    ///
    /// # Errors
    ///
    /// As [`Client::config`].
    pub fn config_and_watch(&self) -> Call<(Data, Stat, OneshotWatch)> {
        self.watching_at(
            OpCode::GetData,
            (CONFIG, CONFIG),
            WatchKind::Data,
            |mut parts, reply| {
                let watch = parts.one_shot()?;
                let (data, stat) = data(parts, reply)?;
                Ok((data, stat, watch))
            },
        )
    }

    /// Changes the membership; the new configuration, and the Stat of its znode.
    ///
    /// # Errors
    ///
    /// `RECONFIG_DISABLED`, `NO_AUTH`, `BAD_VERSION`, `BAD_ARGUMENTS`, `RECONFIG_IN_PROGRESS`, `NEW_CONFIG_NO_QUORUM`;
    /// `UNIMPLEMENTED` by a server alone.
    pub fn reconfigure(&self, change: &Reconfigure) -> Call<(Data, Stat)> {
        let text = |list: &'_ Option<String>| list.clone().map(Text::Owned);
        let body = ReconfigRequest {
            joining: text(&change.joining),
            leaving: text(&change.leaving),
            members: text(&change.members),
            config_id: change.from_version.unwrap_or(-1),
        };
        self.send(OpCode::Reconfig, CONFIG, &body, data)
    }
}

/// Where the configuration is.
const CONFIG: &str = "/zookeeper/config";
