"""A short soak: versions and models come and go while clients ask, and no request is dropped."""

from benchmarks.soak import soak


def test_reloads_drop_no_request(tmp_path, toys):
    toys.save_generator(tmp_path / "generator" / "1")
    toys.save_decoder(tmp_path / "embedder" / "1")  # the model that comes and goes
    config = tmp_path / "models.config"
    names = ("generator", "embedder")
    config.write_text(toys.config_text({name: tmp_path / name for name in names}))
    figures = soak(config, seconds=6, every=0.8, clients=4)
    assert figures["failed"] == {}
    assert figures["alive"] and figures["reloads"] >= 3 and figures["requests"] > 100
