//! nginx, where it is installed: what serves a file from a disk about as well as it can be done.

use crate::places::Places;
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running nginx that serves one folder.
#[derive(Debug)]
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Starts it with as few settings as there can be: one worker, and files sent by the kernel.
    pub(crate) fn start(places: &Places, folder: &Path) -> Result<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().map(PathBuf::from).find(|path| path.exists());
        let Some(program) = program else { bail!("not installed") };
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (work, folder) = (places.work.display(), folder.display());
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let text = format!(
            "{user} worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log;\n\
             events {{ }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on;\n\
             client_body_temp_path {work}/nginx-1; proxy_temp_path {work}/nginx-2; fastcgi_temp_path {work}/nginx-3;\n\
             uwsgi_temp_path {work}/nginx-4; scgi_temp_path {work}/nginx-5;\n\
             server {{ listen {address}; root {folder}; default_type application/octet-stream; }} }}\n"
        );
        let file = places.work.join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).arg("-e").arg(places.work.join("nginx.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("nginx")?;
        let nginx = Self { child, address };
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(since.elapsed() < Duration::from_secs(10), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker goes with the master if that one is asked rather than killed.
        if let Ok(raw) = i32::try_from(self.child.id())
            && let Some(pid) = rustix::process::Pid::from_raw(raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
