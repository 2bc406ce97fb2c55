"""Pages that are newer than the conformance kit's arithmetic: what it cannot do with them yet, said in one place."""

import pytest

# Their definitions use operations that high-precision arrays lack, or their inputs have forms that the case battery
# does not draw. The table-driven test covers them in full. Take a page out of this set when the kit handles it.
NOT_YET = {
    *("best_alignment", "contrastive_gap", "cross_similarity", "flops", "harmonic", "icon", "isogclr", "moco_dual"),
    *("mrl_kl", "ms_ssim", "mw_loss", "number_token_loss", "reject", "sy_con", "t_regs", "tribyol", "wmse", "z_loss"),
}


def pytest_collection_modifyitems(items):
    for item in items:
        page = getattr(item, "callspec", None) and item.callspec.id.split("-")[0]
        if page in NOT_YET and "tests/conformance" in item.path.as_posix():
            item.add_marker(pytest.mark.xfail(reason=f"{page}: the conformance kit cannot do all of it yet"))
