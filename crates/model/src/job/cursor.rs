use super::{JobId, JobIdError, Timestamp};
use std::{fmt, str::FromStr};

/// A place in the list of jobs, the newest first: `<created in ms>-<job>` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobCursor {
    /// When the job was allowed.
    pub created: Timestamp,
    /// Which job.
    pub job: JobId,
}

impl fmt::Display for JobCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.created.unix_ms(), self.job)
    }
}

impl FromStr for JobCursor {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let (created, job) = text.split_once('-').ok_or(JobIdError)?;
        let created = created.parse().map(Timestamp::from_unix_ms).map_err(|_| JobIdError)?;
        Ok(Self { created, job: job.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_text_and_back() {
        let cursor = JobCursor { created: Timestamp::from_unix_ms(12), job: JobId::from_bytes([7; 16]) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "12", "x-00000000000000000000000000000000", "12-0", "-"] {
            assert_eq!(text.parse::<JobCursor>(), Err(JobIdError), "{text}");
        }
    }
}
