//! A value that is used and never shown.

use std::fmt;

/// A password or digest. It prints as `***` in every form; [`Secret::reveal`] is the only way to
/// the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for comparing and for opening key stores, never for a message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether a key's value must not be shown, known or not: passwords and the digest of the super
/// user (features SX-69). A `passwordPath` names a file and may be shown.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.ends_with("password") || key.ends_with("superdigest") || key.ends_with("secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_in_no_form() {
        let secret = Secret::new("super:hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** *** Some(***)"
        );
        assert_eq!(secret.reveal(), "super:hunter2");
    }

    #[test]
    fn keys_of_secrets_are_known_by_their_ends() {
        for key in [
            "ssl.keyStore.password",
            "ssl.quorum.trustStore.password",
            "DigestAuthenticationProvider.superDigest",
            "SASLAuthenticationProvider.superPassword",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        assert!(!is_secret_key("ssl.keyStore.passwordPath"));
        assert!(!is_secret_key("dataDir"));
    }
}
