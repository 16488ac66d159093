//! The answer to the four-letter word `envi` (features FL-15).
//!
//! The keys are Java's, since tools read them. What only a Java machine has is `<NA>`, Apache's own
//! word for what is missing; the memory figures, named as in 3.9, are those of the machine and of
//! this process.

use std::fmt::Write;
use std::fs;

/// Keys and values in Apache's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The host's name.
    pub host_name: String,
    /// The directory for temporary files.
    pub temporary_dir: String,
    /// The kernel's release.
    pub os_version: String,
    /// Who runs the server.
    pub user_name: String,
    /// That user's directory.
    pub user_home: String,
    /// The working directory.
    pub user_dir: String,
    /// Memory that is free.
    pub memory_free_mb: u64,
    /// Memory that the machine has.
    pub memory_max_mb: u64,
    /// Memory that this process holds.
    pub memory_total_mb: u64,
}

const MISSING: &str = "<NA>";

impl Environment {
    /// What this process sees. Anything that cannot be learnt is missing, never an error.
    pub fn here() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| MISSING.to_owned());
        let line = |path: &str| match fs::read_to_string(path) {
            Ok(text) => text.trim().to_owned(),
            Err(_) => MISSING.to_owned(),
        };
        let uid = rustix::process::getuid().as_raw();
        let account = account(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid);
        let user_dir = std::env::current_dir().map(|dir| dir.display().to_string());
        Self {
            host_name: line("/proc/sys/kernel/hostname"),
            temporary_dir: std::env::temp_dir().display().to_string(),
            os_version: line("/proc/sys/kernel/osrelease"),
            user_name: account
                .as_ref()
                .map_or_else(|| variable("USER"), |(name, _)| name.clone()),
            user_home: account.map_or_else(|| variable("HOME"), |(_, home)| home),
            user_dir: user_dir.unwrap_or_else(|_| MISSING.to_owned()),
            memory_free_mb: field_mb("/proc/meminfo", "MemAvailable:"),
            memory_max_mb: field_mb("/proc/meminfo", "MemTotal:"),
            memory_total_mb: field_mb("/proc/self/status", "VmRSS:"),
        }
    }

    /// Every key with its value, in Apache's order.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let missing = || MISSING.to_owned();
        let mb = |n: u64| format!("{n}MB");
        vec![
            ("zookeeper.version", crate::version::full_version()),
            ("host.name", self.host_name.clone()),
            ("java.version", missing()),
            ("java.vendor", missing()),
            ("java.home", missing()),
            ("java.class.path", missing()),
            ("java.library.path", missing()),
            ("java.io.tmpdir", self.temporary_dir.clone()),
            ("java.compiler", missing()),
            ("os.name", java_os_name(std::env::consts::OS)),
            ("os.arch", java_arch(std::env::consts::ARCH)),
            ("os.version", self.os_version.clone()),
            ("user.name", self.user_name.clone()),
            ("user.home", self.user_home.clone()),
            ("user.dir", self.user_dir.clone()),
            ("os.memory.free", mb(self.memory_free_mb)),
            ("os.memory.max", mb(self.memory_max_mb)),
            ("os.memory.total", mb(self.memory_total_mb)),
        ]
    }

    /// The whole answer.
    pub fn envi_text(&self) -> String {
        let mut text = String::from("Environment:\n");
        for (key, value) in self.entries() {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }
}

/// Name and directory of a user in the text of `/etc/passwd`, from which Java takes them too.
fn account(passwd: &str, uid: u32) -> Option<(String, String)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, _, _, home, ..] = fields.as_slice() else {
            return None;
        };
        (id.parse() == Ok(uid)).then(|| ((*name).to_owned(), (*home).to_owned()))
    })
}

/// A field of a file of `/proc` whose unit is kB.
fn field_mb(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 = line
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    kib / 1024
}

fn java_os_name(name: &str) -> String {
    match name {
        "linux" => "Linux".to_owned(),
        "macos" => "Mac OS X".to_owned(),
        other => other.to_owned(),
    }
}

fn java_arch(name: &str) -> String {
    match name {
        "x86_64" => "amd64".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_apaches_keys_in_apaches_order() {
        let text = Environment::here().envi_text();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("Environment:"));
        let keys: Vec<&str> = lines
            .filter_map(|line| line.split_once('='))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(
            keys,
            [
                "zookeeper.version",
                "host.name",
                "java.version",
                "java.vendor",
                "java.home",
                "java.class.path",
                "java.library.path",
                "java.io.tmpdir",
                "java.compiler",
                "os.name",
                "os.arch",
                "os.version",
                "user.name",
                "user.home",
                "user.dir",
                "os.memory.free",
                "os.memory.max",
                "os.memory.total",
            ]
        );
        assert!(text.ends_with("MB\n"));
    }

    #[test]
    fn the_user_is_found_by_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nbroken\nzk:x:1001:1001::/var/lib/zk:/bin/false\n";
        assert_eq!(
            account(passwd, 1001),
            Some(("zk".to_owned(), "/var/lib/zk".to_owned()))
        );
        assert_eq!(account(passwd, 7), None);
    }

    #[test]
    fn what_only_java_has_is_missing_in_apaches_word() {
        assert!(
            Environment::here()
                .envi_text()
                .contains("\njava.vendor=<NA>\n")
        );
    }
}
