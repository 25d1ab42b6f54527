//! Things of the store that belong to no job, by their paths in it.
//!
//! Unlike those of a job, several processes may write them at the same time. Each is written completely or not at all, and
//! of two that write one thing, each leaves a whole one.

use super::{
    PublishError,
    backend::{Backend, Shipment},
};
use cloister_model::FileDigest;

impl Backend {
    pub(super) async fn send_to(&self, path: &str, shipment: Shipment) -> Result<FileDigest, PublishError> {
        match self {
            Self::Folder(folder) => folder.send_to(path, shipment).await,
            Self::Objects(objects) => objects.send_to(path, shipment).await,
        }
    }

    /// Stores a small thing, unless there is one: then it answers false.
    pub(super) async fn put_new(&self, path: &str, content: Vec<u8>) -> Result<bool, PublishError> {
        match self {
            Self::Folder(folder) => folder.put_new(path, content).await,
            Self::Objects(objects) => objects.put_new(path, content).await,
        }
    }

    /// Stores a small thing. It takes the place of the one that is there.
    pub(super) async fn put_over(&self, path: &str, content: Vec<u8>) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => folder.put_over(path, content).await,
            Self::Objects(objects) => objects.put_over(path, content).await,
        }
    }

    /// A small thing; none if it is not there.
    pub(super) async fn get_at(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        match self {
            Self::Folder(folder) => folder.get_at(path).await,
            Self::Objects(objects) => objects.get_at(path).await,
        }
    }

    /// How large a thing is; none if it is not there.
    pub(super) async fn size_at(&self, path: &str) -> Result<Option<u64>, PublishError> {
        match self {
            Self::Folder(folder) => folder.size_at(path).await,
            Self::Objects(objects) => objects.size_at(path).await,
        }
    }

    /// Bytes of a thing, all of them inside it; none if it is not there.
    pub(super) async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Option<Vec<u8>>, PublishError> {
        match self {
            Self::Folder(folder) => folder.read_at(path, offset, length).await,
            Self::Objects(objects) => objects.read_at(path, offset, length).await,
        }
    }

    /// Removes one thing; it may be gone already.
    pub(super) async fn remove_at(&self, path: &str) -> Result<(), PublishError> {
        match self {
            Self::Folder(folder) => folder.remove_at(path).await,
            Self::Objects(objects) => objects.remove_at(path).await,
        }
    }

    /// Names of the things in a folder, so many at most; none if the folder is not there.
    pub(super) async fn names(&self, path: &str, at_most: usize) -> Result<Vec<String>, PublishError> {
        match self {
            Self::Folder(folder) => folder.names(path, at_most).await,
            Self::Objects(objects) => objects.names(path, at_most).await,
        }
    }

    /// All things in the folders of a folder: the name of the folder, and the name of the thing in it.
    pub(super) async fn names_below(&self, path: &str) -> Result<Vec<(String, String)>, PublishError> {
        match self {
            Self::Folder(folder) => folder.names_below(path).await,
            Self::Objects(objects) => objects.names_below(path).await,
        }
    }
}
