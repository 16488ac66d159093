//! Who may do what: the super user, the schemes of authentication, and what is switched off.

use crate::error::ConfigError;
use crate::secret::Secret;
use crate::source::{Given, Source};

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whether no ACL is checked at all.
    pub skips_acl: bool,
    /// Whether the digest scheme is there.
    pub digest_enabled: bool,
    /// `super:digest` of the digest scheme's super user.
    pub super_digest: Option<Secret>,
    /// The hash of the digest scheme.
    pub digest_algorithm: DigestAlgorithm,
    /// The names of this ensemble for the ensemble scheme; empty if that checks nothing.
    pub ensemble_names: Vec<String>,
    /// The schemes that were configured beside the built-in ones.
    pub schemes: Vec<Scheme>,
}

/// The hash of the digest scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestAlgorithm {
    /// `SHA1`, the default.
    #[default]
    Sha1,
    /// `SHA-256`.
    Sha256,
}

/// An authentication scheme by the class that Apache has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `digest`.
    Digest,
    /// `ip`.
    Ip,
    /// `ensemble`.
    Ensemble,
    /// `x509`, which needs TLS.
    X509,
    /// `sasl`.
    Sasl,
}

impl Scheme {
    fn by_class(class: &str) -> Option<Self> {
        let name = class.rsplit('.').next().unwrap_or(class);
        Some(match name {
            "DigestAuthenticationProvider" => Self::Digest,
            "IPAuthenticationProvider" => Self::Ip,
            "EnsembleAuthenticationProvider" => Self::Ensemble,
            "X509AuthenticationProvider" => Self::X509,
            "SASLAuthenticationProvider" => Self::Sasl,
            _ => return None,
        })
    }
}

impl Access {
    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let names = source.text("ensembleAuthName").unwrap_or_default();
        let names = names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Ok(Self {
            skips_acl: source.is_word("skipACL", "yes"),
            digest_enabled: source.flag("DigestAuthenticationProvider.enabled")?,
            super_digest: source
                .text("DigestAuthenticationProvider.superDigest")
                .map(Secret::new),
            digest_algorithm: digest_algorithm(source)?,
            ensemble_names: names.map(str::to_owned).collect(),
            schemes: schemes(source),
        })
    }
}

/// With a hash that this server does not have nobody could show that he is who he is: better not to start.
fn digest_algorithm(source: &Source) -> Result<DigestAlgorithm, ConfigError> {
    const KEY: &str = "DigestAuthenticationProvider.digestAlg";
    let name = source.text(KEY).unwrap_or_default();
    match name.to_ascii_uppercase().as_str() {
        "" | "SHA1" | "SHA-1" | "SHA" => Ok(DigestAlgorithm::Sha1),
        "SHA-256" => Ok(DigestAlgorithm::Sha256),
        _ => Err(source.refuse(
            KEY,
            format!("{KEY} = {name} is a hash that this server does not have"),
            "use SHA1 or SHA-256; ids of another hash have to be written anew",
        )),
    }
}

fn schemes(source: &mut Source) -> Vec<Scheme> {
    let mut schemes = Vec::new();
    for Given {
        value,
        location,
        name,
    } in source.family("authProvider.N").into_values()
    {
        match Scheme::by_class(&value) {
            Some(scheme @ (Scheme::X509 | Scheme::Sasl)) => {
                let part = if scheme == Scheme::Sasl {
                    "SASL"
                } else {
                    "TLS"
                };
                let given = Given {
                    value,
                    location,
                    name,
                };
                let text = format!(
                    "{} = {}: {part} is not built yet, so that nobody can authenticate by it",
                    given.name, given.value
                );
                source.warn_of(&given, text);
                schemes.push(scheme);
            }
            Some(scheme) => schemes.push(scheme),
            None => {
                let given = Given {
                    value,
                    location,
                    name,
                };
                let text = format!(
                    "{} = {} is a Java class that this server does not have; its scheme is unknown",
                    given.name, given.value
                );
                source.warn_of(&given, text);
            }
        }
    }
    schemes.dedup();
    schemes
}
