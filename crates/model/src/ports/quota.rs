use std::fmt;

/// What one account may have only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quota {
    /// Bytes of uploads.
    UploadBytes,
    /// Bytes of uploads of all accounts together that the operator has not named.
    StrangerUploadBytes,
    /// Files that were uploaded.
    Uploads,
    /// Datasets and algorithms, withdrawn ones included.
    Assets,
    /// Bytes of results that are kept.
    ResultBytes,
}

impl Quota {
    /// Its name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadBytes => "upload-bytes",
            Self::StrangerUploadBytes => "stranger-upload-bytes",
            Self::Uploads => "uploads",
            Self::Assets => "assets",
            Self::ResultBytes => "result-bytes",
        }
    }
}

/// An account has as much of something as one account may have. The text says how much, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct QuotaExceeded {
    /// Of what.
    pub quota: Quota,
    /// How much the account may have.
    pub limit: u64,
    /// How much it has.
    pub used: u64,
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quota, limit, used } = self;
        match quota {
            Quota::UploadBytes => write!(
                f,
                "you may have {limit} bytes of uploads, you have {used}, and this file does not fit; delete uploads that you \
                 do not need any more, or ask the operator for more"
            ),
            Quota::StrangerUploadBytes => write!(
                f,
                "accounts that are not known here may have {limit} bytes of uploads together, they have {used}, and this file \
                 does not fit; ask the operator to name your account"
            ),
            Quota::Uploads => {
                write!(
                    f,
                    "you may have {limit} uploads, and you have {used}; delete those that you do not need any more"
                )
            }
            Quota::Assets => write!(
                f,
                "you may have {limit} datasets and algorithms, and you have {used}, withdrawn ones included; publish under \
                 the name of a withdrawn one, or ask the operator for more"
            ),
            Quota::ResultBytes => write!(
                f,
                "you may have {limit} bytes of results, and you have {used}; remove jobs whose results you have fetched, \
                 wait until some expire, or ask the operator for more"
            ),
        }
    }
}
