//! Assets as Ocean 4.x describes them: the DDO and its parts.

mod credentials;
mod ddo;
mod meant;
mod metadata;
mod service;
mod summary;
mod table;

pub use credentials::{Credentials, CredentialsEntry};
pub use ddo::{Ddo, DdoError, MOST_DDO_BYTES};
pub use meant::ServiceError;
pub use metadata::{Algorithm, AssetKind, Container, Metadata};
pub use service::{Service, ServiceFiles, ServiceKind};
pub use summary::{AssetSummary, ServiceSummary};
pub use table::{Column, ColumnType, TableSchema};

pub(crate) use metadata::read_container;
