use super::{
    Start,
    engine::{self, Keys},
    notify::Notifier,
    settings,
};
use crate::{
    client::URL_FILE,
    config::{DEFAULT_LISTEN, Settings},
    exit::{CONFLICT, Ended, USAGE, Usage},
    output::print_line,
    private_file,
    signals::end_signal,
};
use anyhow::Context as _;
use cloister_api::{ServeOptions, Service, tls_config};
use cloister_model::Timestamp;
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, sync::oneshot};

/// Between two looks for uploads whose time is over.
const UPLOADS_PAUSE: Duration = Duration::from_secs(3600);

/// Runs the service until it gets a signal to end.
pub(super) fn run(start: Start) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let outcome = runtime.block_on(serve(start));
    // Remaining tasks must not keep the program alive: jobs are stored, and sandboxes run without it.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    Start { settings, new_operator_key, new_receipt_key, ready_file, until_eof }: Start,
) -> anyhow::Result<()> {
    let end = ended(until_eof)?;
    // First, before anything is changed: another program may use the address.
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| cannot_listen(settings.listen, &error))?;
    let tls = match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(tls_config(&pem(certificate)?, &pem(key)?)?),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut engine = engine::open(&settings, Keys { new_operator_key, new_receipt_key }).await?;
    let service_settings =
        settings::service(&settings, engine.take_secrets()?, settings::issuer_documents(&settings)?)?;
    let notifier = Notifier::new(&settings, &settings::sources(&settings)?)?;
    let service = Service::new(engine.backend(), service_settings)?;
    engine.begin(&settings, &service, now()).await?;
    let address = listener.local_addr().context("the address")?;
    let found_at = Found::write(scheme, address, &settings.home)?;
    announce(scheme, address, ready_file.as_deref())?;
    tracing::info!(%address, scheme, home = %settings.home.display(), "the service listens");
    let options = serve_options(&settings, tls);
    tokio::spawn(remove_expired_uploads(service.clone()));
    if let Some(notifier) = notifier {
        tokio::spawn(notifier.run(service.clone()));
    }
    let closing = service.closing();
    tokio::spawn(async move {
        end.await;
        closing.cancel();
    });
    let served = cloister_api::serve(listener, service.router(), options, service.closing()).await;
    drop(found_at);
    engine.end().await;
    tracing::info!("the service has ended");
    served.context("serving")
}

/// Looks for uploads whose time is over until the service ends.
async fn remove_expired_uploads(service: Service) {
    let closing = service.closing();
    loop {
        match service.remove_expired_uploads().await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "uploads whose time was over are deleted"),
            Err(error) => tracing::warn!(%error, "uploads whose time is over stay for now"),
        }
        if closing.run_until_cancelled(tokio::time::sleep(UPLOADS_PAUSE)).await.is_none() {
            return;
        }
    }
}

fn serve_options(settings: &Settings, tls: Option<Arc<rustls::ServerConfig>>) -> ServeOptions {
    ServeOptions {
        tls,
        header_timeout: settings.http_header_timeout.0,
        max_connections: usize::try_from(settings.http_max_connections).unwrap_or(usize::MAX),
        max_connections_per_address: match settings.http_behind_proxy {
            true => usize::MAX,
            false => usize::try_from(settings.http_address_connections).unwrap_or(usize::MAX),
        },
        ..ServeOptions::default()
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let code = if error.kind() == io::ErrorKind::AddrInUse { CONFLICT } else { USAGE };
    Ended::error(code, format!("cannot listen on {address}: {error}; use another --listen, or end that program"))
}

fn pem(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))
}

/// The file in the service's folder with its address, for commands on this machine. Removed when dropped.
struct Found(Option<PathBuf>);

impl Found {
    fn write(scheme: &str, address: SocketAddr, home: &Path) -> anyhow::Result<Self> {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let path = home.join(URL_FILE);
        if !ip.is_loopback() {
            return Ok(Self(None));
        }
        let url = format!("{scheme}://{}\n", SocketAddr::new(ip, address.port()));
        private_file::write(&path, url.as_bytes()).with_context(|| format!("`{}`", path.display()))?;
        Ok(Self(Some(path)))
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // If this fails, clients find the address and no service there.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Announces the address: one line on standard output, and the file of --ready-file.
fn announce(scheme: &str, address: SocketAddr, ready_file: Option<&Path>) -> anyhow::Result<()> {
    let url = format!("{scheme}://{address}");
    if let Some(file) = ready_file {
        let mut new = file.as_os_str().to_owned();
        new.push(".new");
        // A link in its place would lead elsewhere.
        let _ = std::fs::remove_file(&new);
        std::fs::File::create_new(&new)
            .and_then(|mut made| made.write_all(format!("{url}\n").as_bytes()))
            .and_then(|()| std::fs::rename(&new, file))
            .with_context(|| format!("`{}`", file.display()))?;
    }
    match print_line(&format!("listening on {url}")) {
        // The reader of the output has gone; the service does not need it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

/// Completes when the service has to end: on a signal, or (if `until_eof`) at the end of standard input.
fn ended(until_eof: bool) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let signal = end_signal()?;
    let (send, eof) = oneshot::channel::<()>();
    let mut kept = Some(send);
    if until_eof && let Some(send) = kept.take() {
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while io::stdin().lock().read(&mut buffer).is_ok_and(|read| read > 0) {}
            let _ = send.send(());
        });
    }
    Ok(async move {
        let _kept = kept;
        tokio::select! {
            () = signal => {}
            _ = eof => {}
        }
        tracing::info!("the service ends; running algorithms continue, and the next start takes their jobs up");
    })
}

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// The description of the HTTP interface, at the address where a service listens by default.
pub(crate) fn openapi() -> anyhow::Result<String> {
    let server = format!("http://{DEFAULT_LISTEN}");
    Ok(serde_json::to_string_pretty(&cloister_api::openapi(&server))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_written_to_a_file_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ready, elsewhere) = (folder.path().join("ready"), folder.path().join("elsewhere"));
        std::fs::write(&elsewhere, "kept").expect("written");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("ready.new")).expect("a link");
        announce("http", SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), Some(&ready)).expect("announced");
        assert_eq!(std::fs::read_to_string(&ready).expect("an address"), "http://127.0.0.1:1\n");
        assert_eq!(std::fs::read_to_string(&elsewhere).expect("a file"), "kept");
    }
}
