//! The audit log: a line for each change, in Apache's words (SB-20).
//!
//! The lines go out as tracing events with the target [`TARGET`], so that the program decides where they are kept. They are
//! Apache's to the letter but for one thing: what a client chose (names, paths, ACL ids) cannot end a line or a field,
//! since control characters are written as `\u` and four hex digits.

use std::fmt::Write;

use zabra_config::Environment;
use zabra_proto::CreateMode;
use zabra_serve::{AuditEntry, AuditResult, Clients};

/// The target of the events.
pub const TARGET: &str = "audit";

/// Writes the audit log, or does not.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    /// Who runs the server; none if nothing is written.
    user: Option<String>,
}

impl AuditLog {
    pub(crate) fn new(is_on: bool) -> Self {
        Self {
            user: is_on.then(|| Environment::here().user_name),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.user.is_some()
    }

    /// Writes what clients have done.
    pub(crate) fn write(&self, clients: &mut Clients) {
        let Some(user) = &self.user else { return };
        for entry in clients.take_audit() {
            emit(entry.result, &line(&entry, user));
        }
    }

    /// The server has started.
    pub(crate) fn started(&self) {
        self.of_server("serverStart", AuditResult::Success);
    }

    /// It could not.
    pub(crate) fn not_started(&self) {
        self.of_server("serverStart", AuditResult::Failure);
    }

    /// It stops.
    pub(crate) fn stopping(&self) {
        self.of_server("serverStop", AuditResult::Invoked);
    }

    fn of_server(&self, operation: &str, result: AuditResult) {
        if let Some(user) = &self.user {
            emit(result, &server_line(user, operation, result));
        }
    }
}

fn emit(result: AuditResult, line: &str) {
    if result == AuditResult::Failure {
        tracing::error!(target: TARGET, "{line}");
    } else {
        tracing::info!(target: TARGET, "{line}");
    }
}

/// A change as a line. What the server does by itself it does in the name of who runs it.
fn line(entry: &AuditEntry, server_user: &str) -> String {
    let mut fields = Fields::default();
    fields.put("session", &entry.session.to_string());
    match &entry.client {
        Some(client) => {
            if !client.users.is_empty() {
                fields.put("user", &client.users.join(","));
            }
            fields.put("ip", &client.ip.to_string());
        }
        None => fields.put("user", server_user),
    }
    fields.put("operation", entry.operation.name());
    if let Some(znode) = &entry.znode {
        fields.put("znode", znode);
    }
    if let Some(mode) = entry.znode_type {
        fields.put("znode_type", mode_name(mode));
    }
    if let Some(acl) = &entry.acl {
        fields.put("acl", acl);
    }
    fields.put("result", entry.result.name());
    fields.0
}

fn server_line(user: &str, operation: &str, result: AuditResult) -> String {
    let mut fields = Fields::default();
    fields.put("user", user);
    fields.put("operation", operation);
    fields.put("result", result.name());
    fields.0
}

/// `key=value` with tabs between them.
#[derive(Debug, Default)]
struct Fields(String);

impl Fields {
    fn put(&mut self, key: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('\t');
        }
        self.0.push_str(key);
        self.0.push('=');
        for c in value.chars() {
            if c.is_control() {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "\\u{:04x}", u32::from(c));
            } else {
                self.0.push(c);
            }
        }
    }
}

const fn mode_name(mode: CreateMode) -> &'static str {
    match mode {
        CreateMode::Persistent => "persistent",
        CreateMode::Ephemeral => "ephemeral",
        CreateMode::PersistentSequential => "persistent_sequential",
        CreateMode::EphemeralSequential => "ephemeral_sequential",
        CreateMode::Container => "container",
        CreateMode::PersistentWithTtl => "persistent_with_ttl",
        CreateMode::PersistentSequentialWithTtl => "persistent_sequential_with_ttl",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use zabra_proto::SessionId;
    use zabra_serve::{AuditClient, AuditOperation};

    use super::*;

    fn entry(users: &[&str], operation: AuditOperation) -> AuditEntry {
        AuditEntry {
            session: SessionId(0x0100_00e2_6d96_0001),
            client: Some(AuditClient {
                users: users.iter().map(|user| (*user).into()).collect(),
                ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            }),
            operation,
            znode: None,
            znode_type: None,
            acl: None,
            result: AuditResult::Success,
        }
    }

    /// Each line as Apache 3.9.5 wrote it.
    #[test]
    fn lines_are_apaches() {
        let create = AuditEntry {
            znode: Some("/c20000000002".into()),
            znode_type: Some(CreateMode::PersistentSequential),
            ..entry(&["127.0.0.1"], AuditOperation::Create)
        };
        let set_acl = AuditEntry {
            znode: Some("/p".into()),
            acl: Some("world:anyone:cdrwaip:10.0.0.0/8:rdigest:u:x:ra".into()),
            ..entry(&["bob", "ann", "127.0.0.1"], AuditOperation::SetAcl)
        };
        let multi = AuditEntry {
            result: AuditResult::Failure,
            ..entry(&["127.0.0.1"], AuditOperation::Multi)
        };
        let end = AuditEntry {
            client: None,
            znode: Some("/eph1".into()),
            ..entry(&[], AuditOperation::EphemeralEnd)
        };
        for (entry, expected) in [
            (
                create,
                "session=0x10000e26d960001\tuser=127.0.0.1\tip=127.0.0.1\toperation=create\tznode=/c20000000002\tznode_type=persistent_sequential\tresult=success",
            ),
            (
                set_acl,
                "session=0x10000e26d960001\tuser=bob,ann,127.0.0.1\tip=127.0.0.1\toperation=setAcl\tznode=/p\tacl=world:anyone:cdrwaip:10.0.0.0/8:rdigest:u:x:ra\tresult=success",
            ),
            (
                multi,
                "session=0x10000e26d960001\tuser=127.0.0.1\tip=127.0.0.1\toperation=multiOperation\tresult=failure",
            ),
            (
                end,
                "session=0x10000e26d960001\tuser=root\toperation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/eph1\tresult=success",
            ),
        ] {
            assert_eq!(line(&entry, "root"), expected);
        }
        let started = server_line("root", "serverStart", AuditResult::Success);
        assert_eq!(started, "user=root\toperation=serverStart\tresult=success");
        let stopping = server_line("root", "serverStop", AuditResult::Invoked);
        assert_eq!(stopping, "user=root\toperation=serverStop\tresult=invoked");
    }

    /// CVE-2026-84439, CVE-2026-84501: a client must not be able to write lines of its own.
    #[test]
    fn nothing_that_a_client_chose_ends_a_field_or_a_line() {
        let forged = AuditEntry {
            znode: Some("/a\tresult=success\nsession=0x1\u{85}\u{7f}é".into()),
            ..entry(&["a\tb\r\nc", "d"], AuditOperation::Delete)
        };
        let line = line(&forged, "root");
        assert_eq!(line.matches('\t').count(), 5);
        assert_eq!(line.lines().count(), 1);
        assert!(line.contains("user=a\\u0009b\\u000d\\u000ac,d\t"));
        assert!(line.contains("znode=/a\\u0009result=success\\u000asession=0x1\\u0085\\u007fé\t"));
    }
}
