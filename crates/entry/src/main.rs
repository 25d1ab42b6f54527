//! The program `entry`: see the library.

#![forbid(unsafe_code)]

use cloister_entry::{Order, begin, canary, read, run};
use cloister_model::ContainerEnd;
use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    let (code, why) = match read(std::env::args_os().skip(1)) {
        Err(error) => (ContainerEnd::HostFault.code(), Some(error.to_string())),
        Ok(Order::Begin(order)) => match begin(&order) {
            Ok(()) => (0, None),
            Err((end, why)) => (end.code(), Some(why)),
        },
        Ok(Order::Run(order)) => run(&order),
        Ok(Order::Canary(order)) => match std::fs::write(&order.message, canary(&order).write()) {
            Ok(()) => (0, None),
            Err(error) => (ContainerEnd::HostFault.code(), Some(format!("the message cannot be written: {error}"))),
        },
    };
    if let Some(why) = why {
        // The pipe may have no reader.
        let _ = writeln!(std::io::stderr(), "entry: {why}");
    }
    ExitCode::from(code)
}
