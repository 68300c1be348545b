import { mount } from 'svelte'
import './style/tokens.css'
import './style/base.css'
import './style/parts.css'
import App from './app.svelte'

const target = document.querySelector('#app')
if (target !== null) mount(App, { target })
