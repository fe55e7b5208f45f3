import assemble


def test_the_binary_is_the_source_assembled():
    binary = assemble.assembled()
    assert len(binary) < 4096, "some browsers compile at once only what is smaller"
    assert assemble.BINARY.read_text(encoding="utf-8") == assemble.as_module(binary)


def test_the_source_fits_on_a_few_pages():
    assert len(assemble.SOURCE.read_text(encoding="utf-8").splitlines()) <= 300
