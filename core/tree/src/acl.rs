//! Who may do what, and which ACLs a client may ask for (protocol 8.7, 8.8, 4.6).
//!
//! Pure functions over lists and identities; where lists are kept is the tree's matter.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use zabra_jute::Text;
use zabra_proto::{Acl, ErrorCode, Identity, Perms, RawAcl};

use crate::ip;

/// What the configuration says about access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclRules {
    /// `zookeeper.skipACL=yes`: nothing is checked.
    pub skip: bool,
    /// Whether the digest scheme exists (`zookeeper.DigestAuthenticationProvider.enabled`).
    pub digest: bool,
    /// The hash of the digest scheme.
    pub digest_hash: DigestHash,
    /// Whether the sasl scheme exists.
    pub sasl: bool,
    /// Whether the x509 scheme exists.
    pub x509: bool,
    /// `zookeeper.letAnySaslUserDoX`: the ACL id that lets every sasl identity pass.
    pub any_sasl_user_id: Option<String>,
    /// `zookeeper.X509AuthenticationProvider.superUser`.
    pub x509_super: Option<String>,
}

/// The hash of the digest scheme (`zookeeper.DigestAuthenticationProvider.digestAlg`). Ids of one are not ids of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestHash {
    /// SHA-1, which Apache's server has unless it is told otherwise.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Default for AclRules {
    fn default() -> Self {
        Self {
            skip: false,
            digest: true,
            digest_hash: DigestHash::default(),
            sasl: false,
            x509: false,
            any_sasl_user_id: None,
            x509_super: None,
        }
    }
}

impl AclRules {
    fn has_scheme(&self, scheme: &str) -> bool {
        match scheme {
            "ip" => true,
            "digest" => self.digest,
            "sasl" => self.sasl,
            "x509" => self.x509,
            _ => false,
        }
    }

    /// Whether an identity of this scheme says who somebody is, so that the scheme `auth` stands for it.
    fn authenticates(&self, scheme: &str) -> bool {
        scheme != "ip" && self.has_scheme(scheme)
    }

    fn accepts_id(&self, scheme: &str, id: &str) -> bool {
        match scheme {
            "world" => id == "anyone",
            _ if !self.has_scheme(scheme) => false,
            "ip" => ip::Range::parse(id).is_some(),
            "digest" => is_digest_id(id),
            "sasl" => is_principal(id),
            _ => is_distinguished_name(id),
        }
    }

    fn matches(&self, identity: &Identity, acl: &Acl<'_>) -> bool {
        if identity.scheme != acl.scheme || !self.has_scheme(&acl.scheme) {
            return false;
        }
        match &*acl.scheme {
            "ip" => ip::Range::parse(&acl.id).is_some_and(|range| range.contains(&identity.id)),
            "sasl" => {
                identity.id == acl.id
                    || identity.id == "super"
                    || self.any_sasl_user_id.as_deref() == Some(&*acl.id)
            }
            "x509" => identity.id == acl.id || self.x509_super.as_deref() == Some(&*identity.id),
            _ => identity.id == acl.id,
        }
    }
}

/// Whether a list grants any of the wanted permissions to somebody with these identities.
#[must_use]
pub fn check(acl: &[Acl<'_>], wanted: Perms, identities: &[Identity], rules: &AclRules) -> bool {
    if rules.skip || acl.is_empty() {
        return true;
    }
    let grants = |entry: &&Acl<'_>| entry.perms.intersects(wanted);
    if acl
        .iter()
        .filter(grants)
        .any(|entry| entry.scheme == "world" && entry.id == "anyone")
    {
        return true;
    }
    if identities.iter().any(|identity| identity.scheme == "super") {
        return true;
    }
    acl.iter().filter(grants).any(|entry| {
        identities
            .iter()
            .any(|identity| rules.matches(identity, entry))
    })
}

/// The list to be stored, from the list in a request: duplicates dropped, `auth` replaced by who asks.
///
/// # Errors
/// `INVALID_ACL` if the list is empty or null, has an unknown scheme, an id that its scheme refuses, or `auth` from
/// somebody without an identity.
pub fn fix_up<'a>(
    acl: Option<&[RawAcl<'a>]>,
    identities: &[Identity],
    rules: &AclRules,
) -> Result<Vec<Acl<'a>>, ErrorCode> {
    let asked = acl.unwrap_or_default();
    let mut stored = Vec::with_capacity(asked.len());
    let mut seen = BTreeSet::new();
    for entry in asked {
        let key = (entry.perms.0, entry.scheme.as_deref(), entry.id.as_deref());
        if !seen.insert(key) {
            continue;
        }
        let Some(scheme) = &entry.scheme else {
            return Err(ErrorCode::INVALID_ACL);
        };
        if scheme == "auth" {
            let before = stored.len();
            let who = identities
                .iter()
                .filter(|identity| rules.authenticates(&identity.scheme));
            stored.extend(who.map(|identity| Acl {
                perms: entry.perms,
                scheme: Text::Owned(identity.scheme.clone()),
                id: Text::Owned(identity.id.clone()),
            }));
            if stored.len() == before {
                return Err(ErrorCode::INVALID_ACL);
            }
            continue;
        }
        match &entry.id {
            Some(id) if rules.accepts_id(scheme, id) => {
                stored.push(Acl {
                    perms: entry.perms,
                    scheme: scheme.clone(),
                    id: id.clone(),
                });
            }
            _ => return Err(ErrorCode::INVALID_ACL),
        }
    }
    if stored.is_empty() {
        Err(ErrorCode::INVALID_ACL)
    } else {
        Ok(stored)
    }
}

/// The list as somebody without ADMIN may see it: the secret part of each digest id is masked.
#[must_use]
pub fn masked<'a>(acl: &'a [Acl<'_>]) -> Vec<Acl<'a>> {
    let mask = |entry: &'a Acl<'_>| {
        let id = match entry.id.split_once(':') {
            Some((user, _)) if entry.scheme == "digest" => Text::Owned(format!("{user}:x")),
            _ => Text::Borrowed(&*entry.id),
        };
        Acl {
            perms: entry.perms,
            scheme: Text::Borrowed(&*entry.scheme),
            id,
        }
    };
    acl.iter().map(mask).collect()
}

impl DigestHash {
    /// The id of a digest identity, from the auth bytes `user:password`: the user, a colon, and the hash of all of it.
    #[must_use]
    pub fn id(self, user_and_password: &[u8]) -> String {
        let text = String::from_utf8_lossy(user_and_password);
        let user = text.split(':').next().unwrap_or_default();
        let hash = match self {
            Self::Sha1 => BASE64.encode(Sha1::digest(text.as_bytes())),
            Self::Sha256 => BASE64.encode(Sha256::digest(text.as_bytes())),
        };
        format!("{user}:{hash}")
    }

    /// The identity that digest auth bytes give.
    #[must_use]
    pub fn identity(self, user_and_password: &[u8]) -> Identity {
        Identity::new("digest", &self.id(user_and_password))
    }
}

/// The id that the default hash gives ([`DigestHash::id`]).
#[must_use]
pub fn digest_id(user_and_password: &[u8]) -> String {
    DigestHash::default().id(user_and_password)
}

/// Two parts around a colon; colons at the end do not count.
fn is_digest_id(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// A Kerberos principal, `service/host@realm`; or, without an `@`, anything.
fn is_principal(id: &str) -> bool {
    match id.split_once('@') {
        None => true,
        Some((name, realm)) => !realm.contains(['/', '@']) && name.matches('/').count() <= 1,
    }
}

/// A name as RFC 2253 writes it, by its shape: `KEY=value` parts between commas, those behind a backslash left out.
fn is_distinguished_name(id: &str) -> bool {
    let plain = id.replace("\\\\", "").replace("\\,", "");
    plain.split(',').all(|part| {
        part.split_once('=')
            .is_some_and(|(key, _)| !key.trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(perms: Perms, scheme: &'static str, id: &'static str) -> RawAcl<'static> {
        RawAcl {
            perms,
            scheme: Some(scheme.into()),
            id: Some(id.into()),
        }
    }

    fn acl(perms: Perms, scheme: &'static str, id: &'static str) -> Acl<'static> {
        Acl {
            perms,
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    fn all_schemes() -> AclRules {
        AclRules {
            sasl: true,
            x509: true,
            ..AclRules::default()
        }
    }

    #[test]
    fn ids_are_accepted_as_their_scheme_says() {
        let table = [
            ("world", "anyone", true),
            ("world", "everyone", false),
            ("digest", "a:b", true),
            ("digest", ":b", true),
            ("digest", "a:b:", true),
            ("digest", "x", false),
            ("digest", "u:", false),
            ("digest", "a:b:c", false),
            ("digest", "", false),
            ("digest", ":", false),
            ("ip", "10.0.0.0/8", true),
            ("ip", "10.0.0.0/33", false),
            ("ip", "localhost", false),
            ("ip", "fe80::1/64", true),
            ("sasl", "zk/host@REALM", true),
            ("sasl", "bob", true),
            ("sasl", "a@b@c", false),
            ("sasl", "a/b/c@d", false),
            ("x509", "CN=a,O=b", true),
            ("x509", "CN=a\\,x,O=b", true),
            ("x509", "CN=a,x", false),
            ("x509", "a", false),
            ("x509", "", false),
            ("super", "", false),
            ("ensemble", "x", false),
            ("nobody", "x", false),
        ];
        for (scheme, id, wanted) in table {
            let fixed = fix_up(Some(&[raw(Perms::ALL, scheme, id)]), &[], &all_schemes());
            let expected = if wanted {
                Ok(vec![acl(Perms::ALL, scheme, id)])
            } else {
                Err(ErrorCode::INVALID_ACL)
            };
            assert_eq!(fixed, expected, "{scheme}:{id}");
        }
    }

    #[test]
    fn schemes_that_are_off_do_not_exist() {
        let rules = AclRules {
            digest: false,
            ..AclRules::default()
        };
        for scheme in ["digest", "sasl", "x509"] {
            let entry = acl(Perms::ALL, scheme, "CN=a:b");
            assert!(fix_up(Some(&[raw(Perms::ALL, scheme, "CN=a:b")]), &[], &rules).is_err());
            assert!(!check(
                &[entry],
                Perms::READ,
                &[Identity::new(scheme, "CN=a:b")],
                &rules
            ));
        }
    }

    #[test]
    fn a_list_must_be_there_and_complete() {
        let rules = AclRules::default();
        let no_scheme = RawAcl {
            scheme: None,
            ..raw(Perms::READ, "", "x")
        };
        let no_id = RawAcl {
            id: None,
            ..raw(Perms::READ, "digest", "")
        };
        for bad in [
            None,
            Some(&[][..]),
            Some(&[no_scheme][..]),
            Some(&[no_id][..]),
        ] {
            assert_eq!(fix_up(bad, &[], &rules), Err(ErrorCode::INVALID_ACL));
        }
    }

    #[test]
    fn duplicates_go_and_the_order_stays() {
        let (a, b) = (
            raw(Perms::READ, "digest", "a:x"),
            raw(Perms::READ, "digest", "b:x"),
        );
        let asked = [
            b.clone(),
            a.clone(),
            b.clone(),
            raw(Perms::WRITE, "digest", "b:x"),
            a,
        ];
        let fixed = fix_up(Some(&asked), &[], &AclRules::default()).unwrap();
        let ids: Vec<_> = fixed
            .iter()
            .map(|entry| (entry.perms.0, &*entry.id))
            .collect();
        assert_eq!(ids, [(1, "b:x"), (1, "a:x"), (2, "b:x")]);
        let many: Vec<_> = (0..200).flat_map(|_| asked.clone()).collect();
        assert_eq!(fix_up(Some(&many), &[], &AclRules::default()), Ok(fixed));
    }

    #[test]
    fn auth_stands_for_every_identity_that_says_who_one_is() {
        let rules = AclRules::default();
        let who = [
            Identity::new("ip", "10.0.0.1"),
            Identity::new("digest", "a:x"),
            Identity::new("super", ""),
            Identity::new("sasl", "off"),
            Identity::new("digest", "b:x"),
        ];
        let mut asked = raw(Perms::READ, "auth", "ignored");
        asked.id = None;
        let expected = vec![
            acl(Perms::READ, "digest", "a:x"),
            acl(Perms::READ, "digest", "b:x"),
        ];
        assert_eq!(
            fix_up(Some(std::slice::from_ref(&asked)), &who, &rules),
            Ok(expected)
        );
        assert_eq!(
            fix_up(Some(&[asked]), &who[..1], &rules),
            Err(ErrorCode::INVALID_ACL)
        );
    }

    #[test]
    fn access_is_granted_as_the_list_says() {
        let bob = [
            Identity::new("digest", "bob:x"),
            Identity::new("ip", "10.1.2.3"),
        ];
        let rules = all_schemes();
        let table = [
            (vec![], true),
            (vec![acl(Perms::ALL, "world", "anyone")], true),
            (vec![acl(Perms::WRITE, "world", "anyone")], false),
            (
                vec![acl(Perms::WRITE | Perms::READ, "digest", "bob:x")],
                true,
            ),
            (vec![acl(Perms::READ, "digest", "eve:x")], false),
            (
                vec![
                    acl(Perms::READ, "digest", "eve:x"),
                    acl(Perms::READ, "digest", "bob:x"),
                ],
                true,
            ),
            (vec![acl(Perms::READ, "ip", "10.0.0.0/8")], true),
            (vec![acl(Perms::READ, "ip", "11.0.0.0/8")], false),
            (vec![acl(Perms::READ, "sasl", "bob:x")], false),
            (vec![acl(Perms(0), "world", "anyone")], false),
        ];
        for (list, wanted) in table {
            assert_eq!(check(&list, Perms::READ, &bob, &rules), wanted, "{list:?}");
            assert!(check(
                &list,
                Perms::READ,
                &[Identity::new("super", "")],
                &rules
            ));
            assert!(check(
                &list,
                Perms::READ,
                &[],
                &AclRules {
                    skip: true,
                    ..rules.clone()
                }
            ));
        }
    }

    #[test]
    fn every_bit_is_asked_for_by_itself() {
        for granted in 0..32 {
            for wanted in 0..32 {
                let list = [acl(Perms(granted), "world", "anyone")];
                assert_eq!(
                    check(&list, Perms(wanted), &[], &AclRules::default()),
                    granted & wanted != 0
                );
            }
        }
    }

    #[test]
    fn sasl_and_x509_have_their_own_supers() {
        let mut rules = all_schemes();
        let list = [acl(Perms::READ, "sasl", "zk@R")];
        assert!(check(
            &list,
            Perms::READ,
            &[Identity::new("sasl", "super")],
            &rules
        ));
        assert!(!check(
            &list,
            Perms::READ,
            &[Identity::new("sasl", "bob")],
            &rules
        ));
        rules.any_sasl_user_id = Some("zk@R".into());
        assert!(check(
            &list,
            Perms::READ,
            &[Identity::new("sasl", "bob")],
            &rules
        ));
        let list = [acl(Perms::READ, "x509", "CN=a")];
        assert!(!check(
            &list,
            Perms::READ,
            &[Identity::new("x509", "CN=root")],
            &rules
        ));
        rules.x509_super = Some("CN=root".into());
        assert!(check(
            &list,
            Perms::READ,
            &[Identity::new("x509", "CN=root")],
            &rules
        ));
    }

    #[test]
    fn digest_ids_are_those_that_apache_computes() {
        assert_eq!(digest_id(b"bob:bobspw"), "bob:wxV6n0yXKhpsf191EY8NsrfHTps=");
        assert_eq!(
            digest_id(b"super:secret"),
            "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
        );
        assert!(digest_id(b"nocolon").starts_with("nocolon:"));
        assert_eq!(
            DigestHash::Sha256.id(b"bob:bobspw"),
            "bob:kpSVM6za0bpG/TugcproMasCcslMIKsseIr+S7hb2dk="
        );
    }

    #[test]
    fn only_digests_are_masked() {
        let list = [
            acl(Perms::ALL, "digest", "bob:secret"),
            acl(Perms::READ, "ip", "fe80::1"),
        ];
        let ids: Vec<_> = masked(&list)
            .into_iter()
            .map(|entry| entry.id.into_owned())
            .collect();
        assert_eq!(ids, ["bob:x", "fe80::1"]);
    }
}
