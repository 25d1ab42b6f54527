//! Content of IPFS, through the operator's gateway.

use super::{assert_arrives, assert_fails};
use crate::scenario::Scenario;
use cloister_tests::service::{Server, Setup};
use serde_json::json;

const CID: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

#[test]
fn an_ipfs_gateway_serves_content_by_cid() {
    let gateway = Server::start(|conversation| {
        if conversation.target == format!("/ipfs/{CID}") {
            conversation.answer("200 OK", "", b"of everybody")
        } else {
            conversation.answer("404 Not Found", "", b"")
        }
    });
    // The operator's own gateway may be on this machine; what a publisher names may not.
    let scenario = Scenario::with(Setup::new().set("sources.ipfs_gateway", &gateway.url("")));
    assert_arrives(&scenario, &json!({"type": "ipfs", "hash": CID}), b"of everybody");
    assert_fails(&scenario, &json!({"type": "ipfs", "hash": format!("{CID}/missing.csv")}), &["404"]);
    let url = format!("{}/ipfs/{CID}", gateway.url(""));
    assert_fails(&scenario, &json!({"type": "url", "url": url}), &["not allowed"]);
    // A gateway that points into the operator's own network does not get there.
    let inner = Server::of(b"SECRET");
    let location = format!("Location: {}\r\n", inner.url("/"));
    let pointing = Server::start(move |conversation| conversation.answer("302 Found", &location, b""));
    let scenario = Scenario::with(Setup::new().set("sources.ipfs_gateway", &pointing.url("")));
    assert_fails(&scenario, &json!({"type": "ipfs", "hash": CID}), &["not allowed"]);
    assert_eq!(inner.seen(), Vec::<String>::new());
}

#[test]
fn ipfs_sources_need_a_gateway() {
    assert_fails(&Scenario::new(), &json!({"type": "ipfs", "hash": CID}), &["gateway"]);
}
