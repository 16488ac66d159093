//! Credentials in auth packets (protocol 4.6, 8.8).

use zabra_proto::Identity;
use zabra_proto::client::AuthPacket;

use crate::{Conn, EnsembleStats, ServeOptions};

/// So many bytes of identities a connection may collect; a user's name can be as long as a frame (R11).
const IDENTITIES_LEN_MAX: usize = 64 * 1024;

/// What became of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// They are good.
    Taken,
    /// They are not, or of a scheme that is not there.
    Refused,
    /// The client looks for another ensemble.
    NotForUs,
}

/// Looks at a packet, and adds the identities that it shows. Identities belong to the connection, and none is ever taken
/// away (P126).
pub(crate) fn look_at(
    conn: &mut Conn,
    packet: &AuthPacket<'_>,
    options: &ServeOptions,
    counts: &mut EnsembleStats,
) -> Shown {
    if let (Some("ensemble"), Some(names)) = (packet.scheme.as_deref(), &options.ensemble) {
        return compare_ensemble(packet.auth, names, counts);
    }
    if add_identities(conn, packet, options) {
        Shown::Taken
    } else {
        Shown::Refused
    }
}

/// The scheme `ensemble` shows nothing about the client, only where it means to be.
fn compare_ensemble(name: Option<&[u8]>, names: &[String], counts: &mut EnsembleStats) -> Shown {
    let name = name.filter(|name| !name.is_empty() && !names.is_empty());
    match name {
        None => counts.skip += 1,
        Some(name) if names.iter().any(|own| own.as_bytes() == name) => counts.success += 1,
        Some(_) => {
            counts.fail += 1;
            return Shown::NotForUs;
        }
    }
    Shown::Taken
}

fn add_identities(conn: &mut Conn, packet: &AuthPacket<'_>, options: &ServeOptions) -> bool {
    match packet.scheme.as_deref() {
        Some("digest") if options.acl.digest => {
            let Some(credentials) = packet.auth else {
                return false;
            };
            let identity = options.acl.digest_hash.identity(credentials);
            let is_super = options.super_digest.as_deref() == Some(identity.id.as_str());
            (!is_super || add(conn, Identity::new("super", ""))) && add(conn, identity)
        }
        // Every connection has its address already.
        Some("ip") => true,
        _ => false,
    }
}

/// Whether the connection has the identity now.
fn add(conn: &mut Conn, identity: Identity) -> bool {
    if conn.identities.contains(&identity) {
        return true;
    }
    let len = |identity: &Identity| identity.scheme.len() + identity.id.len();
    let total = conn.identities.iter().map(len).sum::<usize>() + len(&identity);
    let fits = total <= IDENTITIES_LEN_MAX;
    if fits {
        conn.identities.push(identity);
    }
    fits
}
