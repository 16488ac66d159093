//! Draws scripts from a seed: every operation, create mode, watch mode, ACL, version and error, on few paths, so that
//! steps meet each other.
//!
//! What the generator never sends is listed in [`super::allow`] with its reason.

use fastrand::Rng;

use super::script::{AclEntry, Damage, Greeting, Path, Request, Since, Step};
use crate::wire::op;

/// Sessions of a script.
pub const SLOTS: usize = 4;

/// The script of a seed: `count` steps behind a few that set the scene.
#[must_use]
pub fn script(seed: u64, count: usize) -> Vec<Step> {
    let mut draw = Draw {
        rng: Rng::with_seed(seed),
    };
    let mut steps = Vec::with_capacity(count + 2);
    steps.extend(opening());
    if draw.one_in(3) {
        steps.extend(draw.quota_nodes());
    }
    while steps.len() < count {
        if draw.one_in(40) {
            steps.extend(opening());
        }
        steps.push(draw.step());
    }
    steps
}

/// A super user makes the top of the script's tree exist and be open again. Without that scripts soon lock themselves
/// out, and all answers are the same.
fn opening() -> Vec<Step> {
    let acl = || Some(vec![(31, "world".to_owned(), "anyone".to_owned())]);
    let auth = Request::Auth {
        scheme: "digest".to_owned(),
        auth: Some(b"super:superpw".to_vec()),
    };
    let mut requests = vec![auth];
    for path in ["", "/a", "/b"] {
        let path = Path::Under(path.to_owned());
        requests.push(Request::Create {
            op: op::CREATE,
            path: path.clone(),
            data: None,
            acl: acl(),
            flags: 0,
        });
        requests.push(Request::SetAcl {
            path,
            acl: acl(),
            version: -1,
        });
    }
    requests
        .into_iter()
        .map(|request| Step::Ask {
            slot: 0,
            request,
            damage: Damage::None,
        })
        .collect()
}

struct Draw {
    rng: Rng,
}

impl Draw {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(0..n) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(0..of.len())].clone()
    }

    fn step(&mut self) -> Step {
        let slot = self.rng.usize(0..SLOTS);
        match self.rng.u32(0..1000) {
            0..3 => Step::Drop { slot },
            3..12 => Step::Resume {
                slot,
                greeting: self.greeting(),
            },
            12..14 => Step::Garbage {
                slot,
                bytes: self.garbage(),
            },
            14..16 => Step::Stranger {
                bytes: self.stranger(),
            },
            16..19 => self.ask(
                slot,
                Request::Bare {
                    op: op::CLOSE_SESSION,
                },
            ),
            19..21 => {
                let op = self.pick(&[0, -1, 10, 13, 23, 108, 999, i32::MIN]);
                self.ask(slot, Request::Bare { op })
            }
            _ => {
                let request = self.request();
                let damage = match self.rng.u32(0..200) {
                    0..4 => Damage::Cut(self.rng.usize(1..30)),
                    4..6 => Damage::Trailing(self.rng.u8(..)),
                    _ => Damage::None,
                };
                Step::Ask {
                    slot,
                    request,
                    damage,
                }
            }
        }
    }

    fn ask(&self, slot: usize, request: Request) -> Step {
        Step::Ask {
            slot,
            request,
            damage: Damage::None,
        }
    }

    fn greeting(&mut self) -> Greeting {
        match self.rng.u32(0..8) {
            0 => Greeting::Old,
            1 => Greeting::WrongPassword,
            2 => Greeting::UnknownSession,
            3 => Greeting::FromTheFuture,
            4 => Greeting::OtherTimeout(self.pick(&[
                0,
                -1,
                1,
                5_000,
                39_999,
                1_000_000,
                i32::MAX,
                i32::MIN,
            ])),
            _ => Greeting::Right,
        }
    }

    /// Frames that are too short for a header, and lengths that are none.
    fn garbage(&mut self) -> Vec<u8> {
        match self.rng.u32(0..4) {
            0 => vec![0, 0, 0, 0],
            1 => vec![0, 0, 0, 4, 1, 2, 3, 4],
            2 => (-1_i32).to_be_bytes().to_vec(),
            _ => i32::MAX.to_be_bytes().to_vec(),
        }
    }

    fn stranger(&mut self) -> Vec<u8> {
        match self.rng.u32(0..4) {
            0 => vec![0, 0, 0, 3, 1, 2, 3],
            1 => b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            2 => (-2_i32).to_be_bytes().to_vec(),
            _ => [&[0, 0, 0, 20][..], &[7; 20][..]].concat(),
        }
    }

    fn request(&mut self) -> Request {
        match self.rng.u32(0..100) {
            0..22 => self.create(),
            22..30 => self.versioned(op::DELETE),
            30..38 => self.set_data(),
            38..43 => Request::SetAcl {
                path: self.path(),
                acl: self.acl(),
                version: self.version(),
            },
            43..62 => {
                let op = self.pick(&[
                    op::EXISTS,
                    op::GET_DATA,
                    op::GET_CHILDREN,
                    op::GET_CHILDREN2,
                ]);
                let path = if self.one_in(20) {
                    self.quota_path()
                } else {
                    self.path()
                };
                Request::Read {
                    op,
                    path,
                    watch: self.rng.bool(),
                }
            }
            62..70 => {
                let op = self.pick(&[
                    op::GET_ACL,
                    op::SYNC,
                    op::GET_EPHEMERALS,
                    op::GET_ALL_CHILDREN_NUMBER,
                ]);
                Request::Of {
                    op,
                    path: self.path(),
                }
            }
            70..80 => self.watch(),
            80..87 => self.multi(),
            87..90 => self.multi_read(),
            90..93 => self.set_watches(),
            93..96 => self.auth(),
            96..98 => Request::Bare {
                op: self.pick(&[op::PING, op::WHO_AM_I, op::WHO_AM_I]),
            },
            98 => Request::Sasl {
                token: vec![1, 2, 3],
            },
            _ => Request::Reconfig {
                joining: "server.2=127.0.0.1:1:2;3".to_owned(),
            },
        }
    }

    fn create(&mut self) -> Request {
        let (path, data, acl) = (self.path(), self.data(), self.acl());
        match self.rng.u32(0..20) {
            0..2 => Request::Create {
                op: op::CREATE_CONTAINER,
                path,
                data,
                acl,
                flags: 4,
            },
            2..4 => {
                let flags = self.pick(&[5, 6]);
                let ttl =
                    self.pick(&[600_000, 600_000, 600_000, 1 << 39, 0, -1, 1 << 40, i64::MAX]);
                Request::CreateTtl {
                    path,
                    data,
                    acl,
                    flags,
                    ttl,
                }
            }
            4 => {
                let op = self.pick(&[op::CREATE, op::CREATE2]);
                Request::Create {
                    op,
                    path,
                    data,
                    acl,
                    flags: self.pick(&[5, 6, 7, -1, 100]),
                }
            }
            _ => {
                let op = self.pick(&[op::CREATE, op::CREATE2]);
                Request::Create {
                    op,
                    path,
                    data,
                    acl,
                    flags: self.pick(&[0, 0, 0, 1, 2, 3]),
                }
            }
        }
    }

    fn versioned(&mut self, op: i32) -> Request {
        let path = if self.one_in(60) {
            self.quota_path()
        } else {
            self.path()
        };
        Request::Versioned {
            op,
            path,
            version: self.version(),
        }
    }

    fn set_data(&mut self) -> Request {
        Request::SetData {
            path: self.path(),
            data: self.data(),
            version: self.version(),
        }
    }

    fn watch(&mut self) -> Request {
        let path = if self.one_in(3) {
            self.path()
        } else {
            Path::Under(self.pick(&["/a", "/b"]).to_owned())
        };
        match self.rng.u32(0..10) {
            0..5 => Request::Watch {
                op: op::ADD_WATCH,
                path,
                number: self.pick(&[0, 0, 0, 1, 1, 1, 2, -1]),
            },
            5..8 => Request::Watch {
                op: op::CHECK_WATCHES,
                path,
                number: self.pick(&[1, 2, 3, 4, 5, 0, 6]),
            },
            _ => Request::Watch {
                op: op::REMOVE_WATCHES,
                path,
                number: self.pick(&[1, 2, 3, 3, 4, 5, 0, 6]),
            },
        }
    }

    fn multi(&mut self) -> Request {
        let count = self.pick(&[0, 1, 2, 2, 3, 3, 4, 6]);
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(match self.rng.u32(0..40) {
                0..16 => self.create(),
                16..24 => self.versioned(op::DELETE),
                24..32 => self.set_data(),
                32..39 => self.versioned(op::CHECK),
                _ => Request::Read {
                    op: op::GET_DATA,
                    path: self.path(),
                    watch: false,
                },
            });
        }
        Request::Multi {
            op: op::MULTI,
            elements,
        }
    }

    fn multi_read(&mut self) -> Request {
        let mut elements = Vec::new();
        for _ in 0..self.rng.usize(0..5) {
            elements.push(if self.one_in(30) {
                self.versioned(op::DELETE)
            } else {
                let op = self.pick(&[op::GET_DATA, op::GET_CHILDREN]);
                Request::Read {
                    op,
                    path: self.path(),
                    watch: self.rng.bool(),
                }
            });
        }
        Request::Multi {
            op: op::MULTI_READ,
            elements,
        }
    }

    fn set_watches(&mut self) -> Request {
        let since = if self.one_in(4) {
            Since::Ever
        } else {
            Since::Back(self.rng.usize(0..40))
        };
        let count = self.pick(&[3, 5]);
        let mut lists = Vec::new();
        for _ in 0..count {
            let paths = self.rng.usize(0..4);
            lists.push((0..paths).map(|_| self.path()).collect());
        }
        Request::SetWatches { since, lists }
    }

    fn auth(&mut self) -> Request {
        let good = [
            "bob:bobspw",
            "alice:alicepw",
            "super:superpw",
            "nocolon",
            "a:b:c",
            "",
        ];
        let (scheme, auth) = match self.rng.u32(0..12) {
            0 => ("ip", Some(Vec::new())),
            1 => (
                self.pick(&["world", "auth", "nosuch", "super", ""]),
                Some(b"x".to_vec()),
            ),
            2 => ("digest", None),
            _ => ("digest", Some(self.pick(&good).as_bytes().to_vec())),
        };
        Request::Auth {
            scheme: scheme.to_owned(),
            auth,
        }
    }

    fn version(&mut self) -> i32 {
        match self.rng.u32(0..10) {
            0..6 => -1,
            6..9 => self.rng.i32(0..4),
            _ => self.pick(&[-2, 100, i32::MAX, i32::MIN]),
        }
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        match self.rng.u32(0..20) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(vec![b'x'; self.rng.usize(100..5000)]),
            _ => Some(
                self.pick(&["one", "two", "three", "\u{e9}\u{4e00}"])
                    .as_bytes()
                    .to_vec(),
            ),
        }
    }

    fn path(&mut self) -> Path {
        const ODD: [&str; 24] = [
            "/",
            "",
            "a",
            "//",
            "/.",
            "/..",
            "/a/",
            "/a//b",
            "/a/.",
            "/a/../b",
            "/...",
            "/zookeeper",
            "/zookeeper/quota",
            "/zookeeper/config",
            "/zookeeper/none",
            "/a\u{1}b",
            "/a\u{7f}",
            "/a\u{f8ff}",
            "/a\u{fff0}",
            "/\u{f900}",
            "/a\u{0}",
            " ",
            "/\u{1f600}",
            "/z\u{e9}",
        ];
        match self.rng.u32(0..100) {
            0..4 => Path::Literal(self.pick(&ODD).to_owned()),
            4..8 => Path::Under(self.pick(&ODD).to_owned()),
            8..20 => Path::Created(self.rng.usize(0..8)),
            20..60 => Path::Under(self.pick(&["/a", "/a", "/b", "/a/a", "/a/b"]).to_owned()),
            60 => Path::Quota(self.pick(&["", "/a", "/none"]).to_owned()),
            61 if self.one_in(3) => Path::Null,
            _ => {
                let depth = self.pick(&[1, 1, 1, 2, 2, 2, 2, 3, 3, 0]);
                let mut path = String::new();
                for _ in 0..depth {
                    path.push('/');
                    path.push_str(self.pick(&["a", "a", "b", "c"]));
                }
                Path::Under(path)
            }
        }
    }

    /// Nodes that mean something: read, checked and deleted, but written only by [`Self::quota_nodes`].
    fn quota_path(&mut self) -> Path {
        Path::Quota(
            self.pick(&["/a/zookeeper_limits", "/a/zookeeper_stats", "/a"])
                .to_owned(),
        )
    }

    fn acl(&mut self) -> Option<Vec<AclEntry>> {
        let entry = |perms: i32, scheme: &str, id: &str| (perms, scheme.to_owned(), id.to_owned());
        if !self.one_in(4) {
            return Some(vec![entry(31, "world", "anyone")]);
        }
        match self.rng.u32(0..20) {
            0 => return None,
            1 => return Some(Vec::new()),
            _ => {}
        }
        let ids = [
            ("world", "anyone"),
            ("world", "anyone"),
            ("world", "anyone"),
            ("digest", "bob:wxV6n0yXKhpsf191EY8NsrfHTps="),
            ("digest", "bob:wxV6n0yXKhpsf191EY8NsrfHTps="),
            ("auth", ""),
            ("auth", ""),
            ("ip", "127.0.0.1"),
            ("ip", "127.0.0.0/8"),
            ("ip", "10.1.2.3"),
        ];
        let bad = [
            ("world", "someone"),
            ("digest", "nocolon"),
            ("digest", "a:b:c"),
            ("digest", ":b"),
            ("digest", "u:"),
            ("ip", "300.0.0.1"),
            ("ip", "127.0.0.1/33"),
            ("ip", "::1"),
            ("ip", "fe80::/10"),
            ("sasl", "x"),
            ("super", ""),
            ("nosuch", "x"),
            ("", ""),
        ];
        let mut acl = Vec::new();
        for _ in 0..self.pick(&[1, 1, 2, 3]) {
            let (scheme, id) = if self.one_in(8) {
                self.pick(&bad)
            } else {
                self.pick(&ids)
            };
            let perms = self.pick(&[31, 31, 1, 2, 4, 8, 16, 15, 30, 0, 32, -1]);
            acl.push(entry(perms, scheme, id));
        }
        Some(acl)
    }

    /// The nodes that put a quota on `/a` of the script. Their data is always well-formed.
    fn quota_nodes(&mut self) -> Vec<Step> {
        let limits = self.pick(&[
            "count=5,bytes=100",
            "count=-1,bytes=-1=;byteHardLimit=300;countHardLimit=5",
            "countHardLimit=4",
            "byteHardLimit=20",
        ]);
        let open = vec![(31, "world".to_owned(), "anyone".to_owned())];
        let create = |path: Path, data: &str| Step::Ask {
            slot: 0,
            request: Request::Create {
                op: op::CREATE,
                path,
                data: Some(data.as_bytes().to_vec()),
                acl: Some(open.clone()),
                flags: 0,
            },
            damage: Damage::None,
        };
        let quota = |rest: &str| Path::Quota(rest.to_owned());
        vec![
            create(quota(""), ""),
            create(quota("/a"), ""),
            create(Path::Under("/a".to_owned()), "data"),
            create(quota("/a/zookeeper_limits"), limits),
            create(quota("/a/zookeeper_stats"), "count=0,bytes=0"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_script() {
        assert_eq!(script(7, 300), script(7, 300));
        assert_ne!(script(7, 300), script(8, 300));
    }
}
