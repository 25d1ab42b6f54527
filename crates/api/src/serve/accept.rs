use super::{ServeOptions, stall::Unstalled};
use crate::auth::{ClientAddress, PerNetwork};
use axum::{Router, body::Body};
use futures_util::future::BoxFuture;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// How long to wait when the machine has no more of something for a connection.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Takes connections and answers what they ask, until `closing` is cancelled: give [`Service::closing`](crate::Service::closing),
/// so that events and logs that are followed end then, too. Requests that are being answered have [`ServeOptions::drain`] to end.
///
/// # Errors
/// If the listener is of no use.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    closing: CancellationToken,
) -> io::Result<()> {
    listener.local_addr()?;
    let options = Arc::new(options);
    let room = Arc::new(Semaphore::new(options.max_connections));
    let of_addresses = PerNetwork::new(options.max_connections_per_address);
    let connections = TaskTracker::new();
    let abandoned = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, address, permit)) = accepted else { continue };
        let Some(of_address) = of_addresses.take(address.ip()) else {
            tracing::debug!(%address, "a connection was closed, because its address has the most there may be");
            continue;
        };
        let answered = answer(stream, address, router.clone(), Arc::clone(&options), closing.clone());
        let abandoned = abandoned.clone();
        connections.spawn(async move {
            tokio::select! {
                () = answered => {}
                () = abandoned.cancelled() => {}
            }
            drop((permit, of_address));
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.drain, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not end in time and are abandoned");
        abandoned.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// The next connection, once there is room for it. Those beyond wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            tokio::time::sleep(AFTER_FAILURE).await;
            None
        }
    }
}

/// A boxed future is compiled here, once; what an `async fn` does is compiled again in each program that waits for it.
fn answer(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    options: Arc<ServeOptions>,
    closing: CancellationToken,
) -> BoxFuture<'static, ()> {
    Box::pin(async move { connection(stream, address, router, &options, &closing).await })
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    options: &ServeOptions,
    closing: &CancellationToken,
) {
    // Small answers go at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays slow");
    }
    let stream = Unstalled::new(stream, options.stall_timeout);
    match &options.tls {
        None => speak(stream, address, router, options, closing).await,
        Some(config) => {
            let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
            match tokio::time::timeout(options.header_timeout, handshake).await {
                Ok(Ok(stream)) => speak(stream, address, router, options, closing).await,
                Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
                Err(_) => tracing::debug!("no TLS in time"),
            }
        }
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    router: Router,
    options: &ServeOptions,
    closing: &CancellationToken,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ClientAddress(address.ip()));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.max_header_bytes.max(8192))
        .max_headers(options.max_headers)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
