//! Credentials in auth packets (protocol 4.6, 8.8).

use zabra_proto::Identity;
use zabra_proto::client::AuthPacket;

use crate::{Conn, ServeOptions};

/// So many bytes of identities a connection may collect; a user's name can be as long as a frame (R11).
const IDENTITIES_LEN_MAX: usize = 64 * 1024;

/// Adds the identities that a packet shows; false if it is refused. Identities belong to the connection, and none is
/// ever taken away (P126).
pub(crate) fn add_identities(
    conn: &mut Conn,
    packet: &AuthPacket<'_>,
    options: &ServeOptions,
) -> bool {
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
