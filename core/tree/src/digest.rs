//! The digest of the tree: a sum of checksums, kept up to date with each change (protocol 15).

use zabra_proto::StatPersisted;

/// The znode's part in the digest of the tree, which is the sum of them. The root's path is `""`; what lies below
/// `/zookeeper` counts nothing.
#[must_use]
pub fn node_digest(path: &str, data: Option<&[u8]>, stat: &StatPersisted) -> u32 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let mut fields = [0u8; 60];
    let longs = [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime];
    for (slot, value) in fields.chunks_exact_mut(8).zip(longs) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
    let ints = [stat.version, stat.cversion, stat.aversion];
    for (slot, value) in fields[40..52].chunks_exact_mut(4).zip(ints) {
        slot.copy_from_slice(&value.to_be_bytes());
    }
    fields[52..].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let path = path.strip_suffix('/').unwrap_or(path).as_bytes();
    let data = data.unwrap_or_default();
    crc(path, data, &fields)
}

/// What is checked in one piece at most: most znodes are.
const PIECE: usize = 320;

/// The checksum of the three, one behind the other. Long pieces take far fewer instructions per byte than short ones.
fn crc(path: &[u8], data: &[u8], fields: &[u8]) -> u32 {
    let mut piece = [0; PIECE];
    let len = path.len() + data.len() + fields.len();
    let mut crc = crc32fast::Hasher::new();
    if let Some(piece) = piece.get_mut(..len) {
        let (front, rest) = piece.split_at_mut(path.len());
        let (middle, end) = rest.split_at_mut(data.len());
        front.copy_from_slice(path);
        middle.copy_from_slice(data);
        end.copy_from_slice(fields);
        crc.update(piece);
    } else {
        crc.update(path);
        crc.update(data);
        crc.update(fields);
    }
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_system_nodes_have_the_digests_that_apache_computes() {
        let stat = StatPersisted::default();
        assert_eq!(node_digest("", Some(b""), &stat), 68_323_592);
        assert_eq!(node_digest("/", Some(b""), &stat), 68_323_592);
        assert_eq!(node_digest("/zookeeper", Some(b""), &stat), 1_303_661_912);
        assert_eq!(node_digest("/zookeeper", None, &stat), 1_303_661_912);
        assert_eq!(node_digest("/zookeeper/quota", Some(b"x"), &stat), 0);
    }

    #[test]
    fn a_checksum_in_one_piece_is_that_of_its_parts() {
        let stat = StatPersisted::default();
        let path = "/a".repeat(20);
        let mut fields = [0; 60];
        fields[52..].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
        for len in [0, 1, 100, PIECE - 101, PIECE - 100, PIECE - 99, 5_000] {
            let data = vec![7; len];
            let whole = [path.as_bytes(), &data, &fields].concat();
            let expected = crc32fast::hash(&whole);
            assert_eq!(node_digest(&path, Some(&data), &stat), expected, "{len}");
        }
    }

    #[test]
    fn every_field_counts() {
        let stat = StatPersisted {
            czxid: 1,
            mzxid: 2,
            ctime: 3,
            mtime: 4,
            version: 5,
            cversion: 6,
            aversion: 7,
            ephemeral_owner: 8,
            pzxid: 9,
        };
        let digest = |stat: StatPersisted| node_digest("/a", Some(b"x"), &stat);
        let changed = [
            StatPersisted { czxid: 0, ..stat },
            StatPersisted { mzxid: 0, ..stat },
            StatPersisted { ctime: 0, ..stat },
            StatPersisted { mtime: 0, ..stat },
            StatPersisted { version: 0, ..stat },
            StatPersisted {
                cversion: 0,
                ..stat
            },
            StatPersisted {
                aversion: 0,
                ..stat
            },
            StatPersisted {
                ephemeral_owner: 0,
                ..stat
            },
            StatPersisted { pzxid: 0, ..stat },
        ];
        assert!(
            changed
                .into_iter()
                .all(|other| digest(other) != digest(stat))
        );
    }
}
