from medlstm.sources.part_folders import folder_columns, is_leftover, is_part, matches


def test_what_programs_leave_beside_files_is_no_data():
    left = ["_SUCCESS", "_committed_12", "_started_12", "_temporary", "._SUCCESS.crc", "a.crc", "~$a.csv", ".DS_Store"]
    assert all(is_leftover(name) for name in left)
    assert not any(is_leftover(name) for name in ["stays.csv", "_stays.csv", "ward=ICU", "_SUCCESS.csv"])


def test_a_pattern_names_a_file_or_its_folder_in_any_case():
    name = "Stays.parquet/ward=ICU/part-0.parquet"
    assert all(matches(name, pattern) for pattern in ("stays*", "STAYS.PARQUET", "*.parquet", "stays.parquet/ward=*/*"))
    assert not any(matches(name, pattern) for pattern in ("stays", "part-*", "labs*"))


def test_folders_are_columns_and_parts_are_told():
    assert folder_columns("a/ward=Post%20Op/site=__HIVE_DEFAULT_PARTITION__/part-0.csv") == {
        "ward": "Post Op", "site": None,
    }  # fmt: skip
    assert folder_columns("a/b=c.csv") == {}
    assert is_part("a/part-0.csv")
    assert not is_part("part-0.csv")
