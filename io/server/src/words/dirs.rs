//! `dirs`.

/// The answer of `dirs`: bytes in the directories of snapshots and of logs.
#[must_use]
pub fn dirs(data_dir_size: u64, data_log_size: u64) -> String {
    format!("datadir_size: {data_dir_size}\nlogdir_size: {data_log_size}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sizes_have_a_line() {
        assert_eq!(
            dirs(67_108_880, 458),
            "datadir_size: 67108880\nlogdir_size: 458\n"
        );
    }
}
