// The training view: curves as they come, what the weights do meanwhile, and the buttons that the training heeds between two steps.
import { widget } from "../shared/mount";
import { App } from "./app";
import "./training.css";

export default widget(App);
