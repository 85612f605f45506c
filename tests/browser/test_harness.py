"""The harness itself, and what a plain `jupyter lab` gets from an installed flowlab."""
from __future__ import annotations


def test_cells_run_and_the_kernel_answers(notebook):
    nb = notebook("harness", ["import flowlab as fl", "answer = 6 * 7"])
    nb.run_all()
    assert nb.exec("print(answer)") == "42"


def test_a_cell_that_raises_is_reported(notebook):
    nb = notebook("raises", ["1 / 0"])
    try:
        nb.run_all()
    except AssertionError as error:
        assert "ZeroDivisionError" in str(error)
    else:
        raise AssertionError("the error went unseen")


def test_work_survives_a_save_and_a_reload(notebook):
    nb = notebook("survives", ["print('written by the cell')", "kept = 1"])
    nb.run_all()
    nb.save()
    assert "written by the cell" in nb.content().cells[0].outputs[0].text
    nb.reload()
    assert nb.exec("print(kept)") == "1"
    nb.restart_kernel()
    assert nb.exec("print('kept' in globals())") == "False"
    nb.kill_kernel()
    nb.reload()
    assert "written by the cell" in nb.cell(0).inner_text()


def test_plain_jupyter_lab_loads_the_server_extension(lab, notebook):
    notebook("extension", ["1"])
    assert "flowlab.server | extension was successfully loaded" in lab.log()


def test_the_kernels_answers_are_not_held_back(notebook):
    nb = notebook("answers", ["1"])
    nb.run_all()
    fastest = nb.page.evaluate("""async () => {
        const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        let fastest = Infinity;
        for (let i = 0; i < 20; i++) {
            const start = performance.now();
            await kernel.requestExecute({ code: '1' }).done;
            fastest = Math.min(fastest, performance.now() - start);
        }
        return fastest; }""")
    assert fastest < 35, f"the fastest of 20 answers took {fastest:.0f} ms: Nagle's algorithm adds 40"
