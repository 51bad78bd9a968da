"""TLS and mTLS at both doors, and certificates that change while clients are connected."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import grpc
import pytest
import trustme
from pydantic import ValidationError
from tls_clients import Files, opened, over_grpc, over_http, post, soon

from collector.receivers.otlp_config import GrpcConfig
from collector.receivers.tls import BOTH, TlsConfig


def test_both_doors_speak_tls(tmp_path: Path) -> None:
    files = Files(tmp_path)
    doors = opened(tmp_path, files)
    try:
        assert post(over_http(doors, files.authority)) == 200
        assert over_grpc(doors, files.authority) == b""
        with pytest.raises(ssl.SSLError):
            post(over_http(doors, trustme.CA()))
        assert len(doors.stored()) == 2
    finally:
        doors.close()


def test_clients_need_a_certificate_where_an_authority_is_named(tmp_path: Path) -> None:
    files, clients = Files(tmp_path), trustme.CA()
    files.trust_clients_of(clients)
    doors = opened(tmp_path, files)
    proper, strange = clients.issue_cert("agent"), trustme.CA().issue_cert("agent")
    try:
        assert post(over_http(doors, files.authority, proper)) == 200
        assert over_grpc(doors, files.authority, proper) == b""
        for client in (None, strange):
            with pytest.raises(OSError, match=r"(?i)alert|reset|eof|closed|broken"):
                post(over_http(doors, files.authority, client))
            with pytest.raises(grpc.RpcError):
                over_grpc(doors, files.authority, client)
        assert len(doors.stored()) == 2
    finally:
        doors.close()


def test_new_certificates_are_for_new_connections_and_old_ones_go_on(tmp_path: Path) -> None:
    files = Files(tmp_path)
    before = files.authority
    doors = opened(tmp_path, files)
    old = over_http(doors, before)
    try:
        assert post(old) == 200
        files.authority = trustme.CA()
        files.renew()
        assert soon(lambda: post(over_http(doors, files.authority)) == 200)
        assert soon(lambda: over_grpc(doors, files.authority) == b"")
        assert post(old) == 200
        with pytest.raises(ssl.SSLError):
            post(over_http(doors, before))
    finally:
        doors.close()


def test_an_authority_that_is_taken_away_lets_nobody_in_any_more(tmp_path: Path) -> None:
    files, first, second = Files(tmp_path), trustme.CA(), trustme.CA()
    files.trust_clients_of(first)
    doors = opened(tmp_path, files)
    try:
        assert post(over_http(doors, files.authority, first.issue_cert("agent"))) == 200
        files.trust_clients_of(second)
        assert soon(lambda: post(over_http(doors, files.authority, second.issue_cert("agent"))) == 200)
        assert soon(lambda: over_grpc(doors, files.authority, second.issue_cert("agent")) == b"")
        with pytest.raises(OSError, match=r"(?i)alert|reset|eof|closed|broken"):
            post(over_http(doors, files.authority, first.issue_cert("agent")))
    finally:
        doors.close()


def test_files_that_do_not_fit_one_another_leave_the_old_ones_in_use(tmp_path: Path) -> None:
    files = Files(tmp_path)
    doors = opened(tmp_path, files)
    try:
        (tmp_path / "key.pem").write_bytes(files.authority.issue_cert("other").private_key_pem.bytes())
        time.sleep(0.3)
        assert post(over_http(doors, files.authority)) == 200
        assert over_grpc(doors, files.authority) == b""
    finally:
        doors.close()


def test_a_certificate_without_its_key_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with pytest.raises(ValidationError, match=BOTH):
        TlsConfig(cert_file=files.config["cert_file"])
    with pytest.raises(ValidationError, match="tls needs cert_file and key_file"):
        TlsConfig()


def test_files_that_cannot_work_are_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with pytest.raises(ValidationError, match="failed to load TLS"):
        TlsConfig(cert_file=files.config["cert_file"], key_file=tmp_path / "missing.pem")
    (tmp_path / "other.pem").write_bytes(files.authority.issue_cert("other").private_key_pem.bytes())
    with pytest.raises(ValidationError, match="failed to load TLS"):
        TlsConfig(cert_file=files.config["cert_file"], key_file=tmp_path / "other.pem")


def test_what_grpc_cannot_do_is_not_promised(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with pytest.raises(ValidationError, match="min_version"):
        GrpcConfig.model_validate({"tls": {**files.config, "min_version": "1.3"}})


def test_a_file_of_authorities_that_is_emptied_lets_nobody_in_without_a_certificate(tmp_path: Path) -> None:
    files, clients = Files(tmp_path), trustme.CA()
    files.trust_clients_of(clients)
    doors = opened(tmp_path, files)
    try:
        (tmp_path / "clients.pem").write_bytes(b"")
        time.sleep(0.3)  # for as long as it takes to look several times
        with pytest.raises(OSError, match=r"(?i)alert|reset|eof|closed|broken|required"):
            post(over_http(doors, files.authority))
        assert post(over_http(doors, files.authority, clients.issue_cert("agent"))) == 200
    finally:
        doors.close()
