//! Networks on which nothing comes up, and the cause that is named.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use etatuki_service::TlsFiles;
use etatuki_testkit::lab::{Access, Dns, Host, Lab, Nat, Protocols};
use rcgen::CertificateParams;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::world::World;

fn world() -> Option<World> {
    let cone = Access {
        nat: Nat::Cone,
        ..Access::default()
    };
    World::without_service(Protocols::V4, cone, cone)
}

fn certificate(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.into()]).unwrap()
}

#[track_caller]
fn check(world: &World, environment: &[(&str, &str)], cause: &str) {
    let customer = world.customer(environment);
    assert_eq!(customer.said(), format!("failed {cause}"));
}

#[test]
fn names_ports_and_cables_are_told_apart() {
    let Some(world) = world() else { return };
    check(&world, &[], "connection-refused");
    world.lab.set_dns(Dns::KnowsNothing);
    check(&world, &[], "dns-name-unknown");
    world.lab.set_dns(Dns::Silent);
    check(&world, &[], "dns-silent");
    world.lab.set_dns(Dns::Answers);
    world.lab.shell(Host::Service, "nft 'add table inet t; add chain inet t i { type filter hook input priority 0; policy drop; }'");
    check(&world, &[], "service-unreachable");
    world.lab.shell(Host::Customer, "ip link set eth0 down");
    check(&world, &[], "network-offline");
}

#[test]
fn proxies_that_do_not_help_are_named() {
    let Some(world) = world() else { return };
    check(
        &world,
        &[("ALL_PROXY", "http://203.0.113.53:3128")],
        "proxy-unreachable",
    );
    check(
        &world,
        &[("HTTPS_PROXY", "no-such-proxy.test:3128")],
        "proxy-unreachable",
    );
    check(
        &world,
        &[("ALL_PROXY", "socks5://203.0.113.53")],
        "proxy-unsupported",
    );
}

#[test]
fn a_certificate_out_of_its_time_is_the_clocks_fault() {
    let Some(mut world) = world() else { return };
    let mut expired = certificate(Lab::SERVICE);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    world.start_service(expired);
    check(&world, &[], "clock-wrong");
}

#[test]
fn a_certificate_of_another_name_is_a_login_page() {
    let Some(mut world) = world() else { return };
    world.start_service(certificate("portal.hotel.test"));
    check(&world, &[], "login-page");
}

/// Answers every TLS connection on the service's port with these bytes.
fn portal(world: &World, response: &'static str) {
    let TlsFiles { certificate, key } = world.certificate(certificate(Lab::SERVICE));
    let chain = CertificateDer::pem_file_iter(certificate).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = world
        .lab
        .inside(Host::Service, || TcpListener::bind("0.0.0.0:443").unwrap());
    // It ends with the test's process.
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(config).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, stream);
        let _ = tls.read(&mut [0; 4096]);
        let _ = tls.write_all(response.as_bytes());
        tls.conn.send_close_notify();
        let _ = tls.flush();
    });
}

#[test]
fn a_page_is_a_login_page() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 7\r\n\r\nWelcome",
        "HTTP/1.1 302 Found\r\nlocation: http://portal.hotel.test/\r\ncontent-length: 0\r\n\r\n",
    ] {
        let Some(world) = world() else { return };
        portal(&world, response);
        check(&world, &[], "login-page");
    }
}
