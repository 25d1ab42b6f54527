//! The two kinds of store, for the tests of what is kept in them.

use cloister_results::StoreConfig;
use std::{collections::BTreeMap, path::Path};

/// A folder of this name in a folder of the test's own.
pub(crate) fn folder(home: &Path, name: &str) -> StoreConfig {
    StoreConfig { url: format!("file://{}/{name}", home.display()), options: BTreeMap::new() }
}

/// A prefix in the bucket `results` of an S3 store, which no other test has.
pub(crate) fn s3(endpoint: &str, home: &Path, prefix: &str) -> StoreConfig {
    let unique = home.file_name().expect("a name").to_string_lossy().replace('.', "");
    let options =
        [("endpoint", endpoint), ("access_key_id", "id"), ("secret_access_key", "SECRET"), ("region", "us-east-1")];
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    StoreConfig { url: format!("s3://results/{prefix}{unique}"), options }
}
