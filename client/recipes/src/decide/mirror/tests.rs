//! The copy against a tree that changes under it.

use super::*;

/// A dumb server: what is there, how often it was read, and the events of a recursive watch.
#[derive(Default)]
struct Tree {
    nodes: BTreeMap<String, (Vec<u8>, Stat)>,
    zxid: i64,
    reads: usize,
    wholes: usize,
    events: VecDeque<(String, Hint)>,
    /// Every other answer to a probe brings data, too.
    brings_data: bool,
}

impl Tree {
    fn set(&mut self, path: &str, data: &str) {
        self.zxid += 1;
        let created = Stat {
            czxid: self.zxid,
            ..Stat::default()
        };
        let zxid = self.zxid;
        let node = self
            .nodes
            .entry(path.to_owned())
            .or_insert((Vec::new(), created));
        node.0 = data.into();
        node.1.mzxid = zxid;
        self.events.push_back((path.to_owned(), Hint::Set));
    }

    fn delete(&mut self, path: &str) {
        self.zxid += 1;
        self.nodes.remove(path);
        self.events.push_back((path.to_owned(), Hint::Gone));
    }

    fn children(&self, path: &str) -> Vec<String> {
        let begin = join(path, "");
        let names = self
            .nodes
            .keys()
            .filter_map(|path| path.strip_prefix(&begin));
        names
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    fn stat(&self, path: &str) -> Option<Stat> {
        let (_, stat) = self.nodes.get(path)?;
        let num_children = i32::try_from(self.children(path).len()).unwrap();
        Some(Stat {
            num_children,
            ..*stat
        })
    }

    fn answer(&mut self, mirror: &mut Mirror, read: &Read) {
        self.reads += 1;
        let path = read.path();
        match read {
            Read::Probe(_) if !(self.brings_data && self.reads.is_multiple_of(2)) => {
                mirror.on_probe(path, self.stat(path));
            }
            Read::Whole(_) | Read::Probe(_) => {
                self.wholes += 1;
                let answer = self
                    .nodes
                    .get(path)
                    .map(|(data, _)| data.clone())
                    .zip(self.stat(path));
                mirror.on_whole(path, answer).unwrap();
            }
            Read::Children(_) => {
                let answer = self.stat(path).map(|stat| (self.children(path), stat));
                mirror.on_children(path, answer);
            }
        }
    }

    /// Delivers all events and answers all reads.
    fn settle(&mut self, mirror: &mut Mirror) -> Vec<CacheEvent> {
        loop {
            if let Some((path, hint)) = self.events.pop_front() {
                mirror.on_event(&path, hint);
            } else if let Some(read) = mirror.next_read() {
                self.answer(mirror, &read);
            } else {
                return std::iter::from_fn(|| mirror.next_change()).collect();
            }
        }
    }

    fn assert_copied(&self, mirror: &Mirror, root: &str) {
        let copied: BTreeMap<&String, &Vec<u8>> = mirror
            .nodes()
            .iter()
            .map(|(path, node)| (path, &node.data))
            .collect();
        let begin = join(root, "");
        let there: BTreeMap<&String, &Vec<u8>> = self
            .nodes
            .iter()
            .filter(|(path, _)| *path == root || path.starts_with(&begin))
            .map(|(path, (data, _))| (path, data))
            .collect();
        assert_eq!(copied, there);
        assert_eq!(
            mirror.bytes,
            mirror
                .nodes()
                .values()
                .map(|node| cost(node))
                .sum::<usize>()
        );
    }
}

fn copied(root: &str, paths: &[&str]) -> (Tree, Mirror) {
    let mut tree = Tree::default();
    for path in paths {
        tree.set(path, "1");
    }
    tree.events.clear();
    let mut mirror = Mirror::new(root, Depth::Subtree, usize::MAX);
    mirror.on_gap();
    tree.settle(&mut mirror);
    tree.assert_copied(&mirror, root);
    (tree, mirror)
}

fn names(changes: &[CacheEvent]) -> Vec<String> {
    let name = |change: &CacheEvent| match change {
        CacheEvent::Created(node) => format!("+{}", node.path),
        CacheEvent::Changed { after, .. } => format!("~{}", after.path),
        CacheEvent::Deleted(node) => format!("-{}", node.path),
        CacheEvent::Initialized => "!".to_owned(),
    };
    changes.iter().map(name).collect()
}

#[test]
fn the_first_pass_tells_everything_and_then_that_it_is_through() {
    let mut tree = Tree::default();
    for path in ["/a", "/a/b", "/a/b/c", "/other"] {
        tree.set(path, "");
    }
    tree.events.clear();
    let mut mirror = Mirror::new("/a", Depth::Subtree, usize::MAX);
    mirror.on_gap();
    assert_eq!(
        names(&tree.settle(&mut mirror)),
        ["+/a", "+/a/b", "+/a/b/c", "!"]
    );
}

#[test]
fn a_root_that_is_not_there_is_an_empty_copy() {
    let mut mirror = Mirror::new("/a", Depth::Subtree, usize::MAX);
    mirror.on_gap();
    let mut tree = Tree::default();
    assert_eq!(names(&tree.settle(&mut mirror)), ["!"]);
    tree.set("/a", "");
    assert_eq!(names(&tree.settle(&mut mirror)), ["+/a"]);
}

#[test]
fn the_root_of_all_has_a_copy_too() {
    let (mut tree, mut mirror) = copied("/", &["/", "/a", "/a/b"]);
    tree.delete("/a/b");
    assert_eq!(names(&tree.settle(&mut mirror)), ["-/a/b"]);
}

#[test]
fn after_a_gap_only_what_changed_is_read_whole() {
    let paths: Vec<String> = (0..100).map(|n| format!("/a/{n:03}")).collect();
    let all: Vec<&str> = std::iter::once("/a")
        .chain(paths.iter().map(String::as_str))
        .collect();
    let (mut tree, mut mirror) = copied("/a", &all);
    assert!(
        tree.reads <= all.len() + 1,
        "one read each, and one of children"
    );
    (tree.reads, tree.wholes) = (0, 0);
    tree.set("/a/007", "2");
    tree.set("/a/new", "2");
    tree.delete("/a/008");
    tree.events.clear();
    mirror.on_gap();
    assert_eq!(
        names(&tree.settle(&mut mirror)),
        ["-/a/008", "+/a/new", "~/a/007"]
    );
    assert_eq!(tree.wholes, 2);
    assert!(tree.reads <= all.len() + 2);
    tree.assert_copied(&mirror, "/a");
}

#[test]
fn a_znode_that_was_deleted_and_made_again_unseen_has_changed() {
    let (mut tree, mut mirror) = copied("/a", &["/a", "/a/b"]);
    tree.delete("/a/b");
    tree.set("/a/b", "2");
    tree.events.clear();
    mirror.on_gap();
    assert_eq!(names(&tree.settle(&mut mirror)), ["~/a/b"]);
}

#[test]
fn an_answer_older_than_a_deletion_is_not_believed() {
    let (mut tree, mut mirror) = copied("/a", &["/a"]);
    tree.set("/a/b", "");
    mirror.on_event("/a/b", Hint::Set);
    let read = mirror.next_read().unwrap();
    let old = (b"".to_vec(), tree.stat("/a/b").unwrap());
    mirror.on_event("/a/b", Hint::Gone);
    tree.delete("/a/b");
    mirror.on_whole(read.path(), Some(old)).unwrap();
    tree.events.clear();
    assert_eq!(names(&tree.settle(&mut mirror)), Vec::<String>::new());
    tree.assert_copied(&mirror, "/a");
}

#[test]
fn the_limit_is_kept() {
    let mut mirror = Mirror::new("/a", Depth::Node, 1_000);
    mirror.on_gap();
    assert!(mirror.next_read().is_some());
    assert_eq!(
        mirror.on_whole("/a", Some((vec![0; 900], Stat::default()))),
        Err(TooLarge)
    );
}

#[test]
fn foreign_paths_are_none_of_its_business() {
    let mut one = Mirror::new("/a", Depth::Node, usize::MAX);
    one.on_event("/a/b", Hint::Set);
    one.on_event("/ab", Hint::Set);
    assert_eq!(one.next_read(), None);
}

/// A linear congruence is random enough to mix steps.
fn mixed(seed: &mut u64, below: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn whatever_happens_in_whatever_order_the_copy_is_the_tree_in_the_end() {
    for first in 0..300 {
        let mut seed = first;
        let mut tree = Tree {
            brings_data: first % 2 == 0,
            ..Tree::default()
        };
        let mut mirror = Mirror::new("/r", Depth::Subtree, usize::MAX);
        mirror.on_gap();
        let mut told: BTreeSet<String> = BTreeSet::new();
        for _ in 0..200 {
            match mixed(&mut seed, 8) {
                0..3 => {
                    let path =
                        ["/r", "/r/a", "/r/b", "/r/a/x", "/r/a/y"][mixed(&mut seed, 5) as usize];
                    let parent = path.rsplit_once('/').unwrap().0;
                    if parent.is_empty() || tree.nodes.contains_key(parent) {
                        tree.set(path, &first.to_string());
                    }
                }
                3 => {
                    let path =
                        ["/r", "/r/a", "/r/b", "/r/a/x", "/r/a/y"][mixed(&mut seed, 5) as usize];
                    if tree.nodes.contains_key(path) && tree.children(path).is_empty() {
                        tree.delete(path);
                    }
                }
                4 if mixed(&mut seed, 10) == 0 => {
                    tree.events.clear();
                    mirror.on_gap();
                }
                // As on a connection: what was sent first arrives first, so events come before the answer.
                5 | 6 => {
                    if let Some(read) = mirror.next_read() {
                        while let Some((path, hint)) = tree.events.pop_front() {
                            mirror.on_event(&path, hint);
                        }
                        tree.answer(&mut mirror, &read);
                    }
                }
                _ => {
                    if let Some((path, hint)) = tree.events.pop_front() {
                        mirror.on_event(&path, hint);
                    }
                }
            }
        }
        for change in tree.settle(&mut mirror) {
            mirror.changes.push_back(change);
        }
        while let Some(change) = mirror.next_change() {
            match change {
                CacheEvent::Created(node) => drop(told.insert(node.path.clone())),
                CacheEvent::Deleted(node) => drop(told.remove(&node.path)),
                CacheEvent::Changed { .. } | CacheEvent::Initialized => {}
            }
        }
        tree.assert_copied(&mirror, "/r");
        assert_eq!(
            told,
            mirror.nodes().keys().cloned().collect(),
            "what was told is what is there"
        );
    }
}

#[test]
fn what_was_known_before_the_znode_above_it_goes_with_that_in_a_gap() {
    for is_made_again in [false, true] {
        let (mut tree, mut mirror) = copied("/a", &["/a"]);
        tree.set("/a/b", "1");
        tree.set("/a/b/c", "1");
        while let Some((path, hint)) = tree.events.pop_front() {
            mirror.on_event(&path, hint);
        }
        // The other answer is lost with the connection.
        let reads: Vec<Read> = std::iter::from_fn(|| mirror.next_read()).collect();
        tree.answer(&mut mirror, &reads[1]);
        assert!(mirror.nodes().contains_key("/a/b/c"));
        tree.delete("/a/b/c");
        tree.delete("/a/b");
        if is_made_again {
            tree.set("/a/b", "2");
        }
        tree.events.clear();
        mirror.on_gap();
        tree.settle(&mut mirror);
        tree.assert_copied(&mirror, "/a");
    }
}
