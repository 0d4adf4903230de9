from sparring import doctor


def test_what_is_installed_is_found_and_what_is_missing_is_named_with_its_mend(monkeypatch):
    monkeypatch.setitem(doctor._EXTRAS, "network", ("no-such-package-at-all",))
    findings = {f.name: f for f in doctor.examine()}
    assert findings["torch"].state == "good"
    assert findings["no-such-package-at-all"].state == "optional"
    assert "sparring[network]" in findings["no-such-package-at-all"].detail


def test_a_data_folder_that_does_not_exist_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SPARRING_DATA", str(tmp_path / "gone"))
    findings = doctor.examine()
    assert [f.state for f in findings if f.name == "SPARRING_DATA"] == ["missing"]
    doctor.print_findings(findings)
    assert "torch" in capsys.readouterr().out
