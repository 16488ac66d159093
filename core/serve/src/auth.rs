//! Credentials in auth packets (protocol 4.6, 8.8).

use zabra_proto::Identity;
use zabra_proto::client::AuthPacket;
use zabra_tree::acl::{self, AclRules};

use crate::Conn;

/// Adds the identities that a packet shows; false if it is refused. Identities belong to the connection, and none is
/// ever taken away (P126).
pub(crate) fn add_identities(
    conn: &mut Conn,
    packet: &AuthPacket<'_>,
    super_digest: Option<&str>,
    rules: &AclRules,
) -> bool {
    match packet.scheme.as_deref() {
        Some("digest") if rules.digest => {
            let Some(credentials) = packet.auth else {
                return false;
            };
            let identity = acl::digest_identity(credentials);
            if super_digest == Some(identity.id.as_str()) {
                add(conn, Identity::new("super", ""));
            }
            add(conn, identity);
            true
        }
        // Every connection has its address already.
        Some("ip") => true,
        _ => false,
    }
}

fn add(conn: &mut Conn, identity: Identity) {
    if !conn.identities.contains(&identity) {
        conn.identities.push(identity);
    }
}
